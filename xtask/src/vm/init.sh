#!/bin/busybox sh
# The first process of a guest: mounts what a machine has, runs /steps, powers off.
# Lines that begin with @@ are for the one who booted it (xtask/src/vm/guest.rs).
/bin/busybox --install -s /bin
export PATH=/usr/local/bin:/bin HOME=/root TERM=linux ENV=/etc/shrc
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
load_modules() {
    for module in /modules/*.ko; do
        [ -e "$module" ] && { insmod "$module" || echo "@@note cannot load $module"; }
    done
}
# The kernel hands us this word of its command line.
[ "$SENTINEL_LAYOUT" = systemd ] && . /systemd.sh
mkdir -p /dev/pts /root
mount -t devpts devpts /dev/pts
# A v1 hierarchy of these controllers, as far as this kernel has them.
hierarchy() {
    mkdir "/sys/fs/cgroup/$1"
    mount -t cgroup -o "$2" cgroup "/sys/fs/cgroup/$1" 2>/dev/null || rmdir "/sys/fs/cgroup/$1"
}
if [ -z "$SENTINEL_LAYOUT" ]; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
else
    mount -t tmpfs cgroup /sys/fs/cgroup
    hierarchy cpu,cpuacct cpu,cpuacct
    hierarchy net_cls,net_prio net_cls,net_prio
    while read -r controller hierarchy _ enabled; do
        [ "$hierarchy $enabled" = "0 1" ] && hierarchy "$controller" "$controller"
    done </proc/cgroups
    hierarchy systemd none,name=systemd
    if [ "$SENTINEL_LAYOUT" = hybrid ]; then
        mkdir /sys/fs/cgroup/unified
        mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
    fi
fi
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mkdir -p /run/netns
ip link set lo up
load_modules
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
