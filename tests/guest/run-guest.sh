#!/usr/bin/env bash
# Run one command in a Linux 6.1 guest that has netem, on a machine whose own kernel lacks it.
#
#   run-guest.sh [-m MEMORY] [-t SECONDS] [-d [-i IMAGE]] -- COMMAND [ARGUMENT...]
#     -m MEMORY    of the guest (default 512M; 3G is roomy for a Docker Engine with an image)
#     -t SECONDS   end the guest after this long (default 900)
#     -d           start a Docker Engine in it first (the host's docker.io package)
#     -i IMAGE     and load this image of the host's Docker Engine into it
#
# The guest is User Mode Linux: no KVM, no root file system, no network. It sees the host's whole / read-only under an
# overlay of its own: the same Python, tc, docker and checkout under the same paths; what it writes is lost, but for
# /run/out, which is $GUEST_DIR/out here. COMMAND runs as root in the caller's directory; its exit status is this
# script's (124: time-out; 125: the guest did not get that far).
# Needs: x86-64, root, Debian's apt-get (user-mode-linux and busybox-static are downloaded once and unpacked into
# $GUEST_DIR, never installed), gcc, iproute2, util-linux; -d: docker.io, iptables.
set -euo pipefail

memory=512M limit=900 docker=0 image=
while getopts m:t:di: option; do
    case $option in
        m) memory=$OPTARG ;;
        t) limit=$OPTARG ;;
        d) docker=1 ;;
        i) image=$OPTARG ;;
        *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || { sed -n '2,/^set/{/^#/p}' "$0"; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
guest=${GUEST_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/testbed-guest}
mkdir -p "$guest"
guest=$(cd "$guest" && pwd)
exec 9>"$guest/lock"
flock 9 # one guest at a time: they would share $guest/out

# ---- the kernel: unpacked, never installed (no dpkg lock, no postinst) ------------------------------------------------
unpack() { # PACKAGE DIRECTORY
    [ ! -e "$guest/$2/.done" ] || return 0
    rm -rf "$guest/$2.deb"
    mkdir -p "$guest/$2.deb" "$guest/$2"
    local -a download=(apt-get -qq -o APT::Sandbox::User=root download "$1")
    (cd "$guest/$2.deb" && "${download[@]}" 2>/dev/null) || { apt-get -qq update && (cd "$guest/$2.deb" && "${download[@]}"); }
    dpkg -x "$guest/$2.deb"/*.deb "$guest/$2"
    rm -r "$guest/$2.deb"
    touch "$guest/$2/.done"
}
unpack busybox-static busybox # modprobe, insmod and pivot_root for the guest
unpack user-mode-linux uml
busybox=$guest/busybox/bin/busybox modules=$guest/uml/usr/lib/uml/modules
[ "$guest/xstate.so" -nt "$here/xstate.c" ] || gcc -O2 -shared -fPIC -o "$guest/xstate.so" "$here/xstate.c"

# ---- what it runs --------------------------------------------------------------------------------------------------------
out=$guest/out
rm -rf "$out"
mkdir -p "$out"
[ -z "$image" ] || docker save --output "$out/image.tar" "$image"
{
    printf 'cd %q\nexport PATH=%q\n' "$PWD" "$PATH"
    printf '%q ' "$@"
    echo
} >"$out/command"
cat >"$out/init" <<I
#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
for word in \$(cat /proc/cmdline); do case \$word in g_*) export "\$word" ;; esac; done
$busybox insmod $modules/\$(uname -r)/kernel/fs/overlayfs/overlay.ko
mount -t tmpfs -o size=90% tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
root=/mnt/root
mount -t tmpfs tmpfs \$root/run
mkdir -p \$root/run/out \$root/lib/modules
cp $busybox \$root/run/busybox
mount -t hostfs -o ro,$modules hostfs \$root/lib/modules
mount -t hostfs -o $out hostfs \$root/run/out
cd \$root
$busybox pivot_root . mnt # not a chroot: "docker exec" (setns) enters the mount namespace's real root
exec chroot . /bin/sh $here/inside.sh
I
chmod +x "$out/init"

# ---- boot ----------------------------------------------------------------------------------------------------------------
# One CPU for the guest and its traced processes: each of its system calls is a switch between two processes here, and
# across CPUs that costs a wake-up by interrupt (55 us instead of 6).
cpu=$(sed -n 's/^Cpus_allowed_list:.*[^0-9]\([0-9]\+\)$/\1/p' /proc/self/status)
boot=(
    taskset -c "$cpu" env LD_PRELOAD="$guest/xstate.so" "$guest/uml/usr/bin/linux.uml" mem="$memory"
    rootfstype=hostfs rootflags=/ root=/dev/root ro init="$out/init" quiet loglevel=1 panic=-1
    con=null "con0=null,fd:1" ssl=null uml_dir="$guest/run/" umid=guest "g_docker=$docker"
)
# Its own pid namespace: nothing of it outlives it. Its own, empty network namespace: no way out at all.
status=0
timeout -s KILL "$limit" unshare --pid --fork --kill-child --mount-proc --net "${boot[@]}" </dev/null 2>&1 9>&- \
    | tr -d '\r' || status=${PIPESTATUS[0]}
rm -f "$out/image.tar"
[ ! -e "$out/status" ] || exit "$(cat "$out/status")"
case $status in
    124 | 137) echo "run-guest: time-out after $limit s" >&2; exit 124 ;;
esac
echo "run-guest: the guest ended without a result (status $status)" >&2
exit 125
