# shellcheck shell=sh
# PID 1 of the guest, once the overlay over the host's file system is /. See run-guest.sh.
export HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umount -l /mnt 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
ln -sfn /proc/self/fd /dev/fd
[ -L /var/run ] || mount --bind /run /var/run
ip link set lo up
echo guest >/proc/sys/kernel/hostname

# The kernel loads sch_netem, veth and the like by itself, on demand.
printf '#!/bin/sh\nexec /run/busybox modprobe "$@"\n' >/run/modprobe
chmod +x /run/modprobe
echo /run/modprobe >/proc/sys/kernel/modprobe
[ -e /usr/sbin/modprobe ] || ln -s /run/modprobe /usr/sbin/modprobe
uptime() { cut -d' ' -f1 /proc/uptime; }
echo "guest: Linux $(uname -r), up in $(uptime) s"

if [ "${g_docker:-0}" = 1 ]; then
    for tables in iptables ip6tables; do ln -sf $tables-legacy /usr/sbin/$tables; done # no NAT in UML's nf_tables
    mkdir -p /run/docker-data
    mount -t tmpfs -o size=85% tmpfs /run/docker-data
    dockerd --data-root /run/docker-data --exec-root /run/docker-exec --pidfile /run/docker.pid \
        --bip 198.19.0.1/24 --default-address-pool base=198.18.128.0/17,size=24 >/run/out/dockerd.log 2>&1 &
    attempts=0
    until docker version >/dev/null 2>&1 || [ $((attempts += 1)) -gt 150 ]; do sleep 0.2; done
    echo "guest: Docker Engine up at $(uptime) s"
    if [ -e /run/out/image.tar ]; then
        docker load --quiet --input /run/out/image.tar
        echo "guest: image loaded at $(uptime) s"
    fi
fi

bash /run/out/command </dev/null
echo $? >/run/out/status
echo "guest: end at $(uptime) s"
sync
echo o >/proc/sysrq-trigger
while :; do :; done
