# Sourced by init.sh in a guest that systemd runs: the disk's root, with our programs and steps put in.
load_modules
mkdir /system
mount -t ext4 /dev/vda /system
mkdir -p /system/guest /system/tests /system/etc/systemd/system/multi-user.target.wants
cp -a /usr/local/bin/* /system/usr/local/bin/
cp /steps /system/guest/
[ -d /guest ] && cp /guest/* /system/guest/
cat >/system/guest/run <<'END'
export PATH=/usr/local/bin:$PATH HOME=/root TERM=linux SENTINEL_LAYOUT=systemd
run() {
    "$@"
}
echo "@@boot $(uname -r)"
. /guest/steps
echo "@@done"
systemctl poweroff -ff
END
cat >/system/etc/systemd/system/guest.service <<'END'
[Unit]
After=multi-user.target
[Service]
ExecStart=/bin/sh /guest/run
StandardInput=tty-force
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
END
ln -s ../guest.service /system/etc/systemd/system/multi-user.target.wants/guest.service
umount /dev /sys /proc
exec switch_root /system /lib/systemd/systemd
