#!/bin/busybox sh
# The first process of a guest: mounts what a machine has, runs /steps, powers off.
# Lines that begin with @@ are for the one who booted it (xtask/src/vm/guest.rs).
/bin/busybox --install -s /bin
export PATH=/usr/local/bin:/bin HOME=/root TERM=linux ENV=/etc/shrc
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /root
mount -t devpts devpts /dev/pts
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mkdir -p /run/netns
ip link set lo up
for module in /modules/*.ko; do
    [ -e "$module" ] && { insmod "$module" || echo "@@note cannot load $module"; }
done
echo "@@boot $(uname -r)"
# busybox's shell prefers its own ip to the real one, whatever PATH says.
run() {
    program=/usr/local/bin/$1
    [ -x "$program" ] || program=$1
    shift
    "$program" "$@"
}
. /steps
echo "@@done"
poweroff -f
