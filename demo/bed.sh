# What the demos stand on, for `source`: a network namespace and temporary folders of their own, an
# image, a registry and a daemon, all of which end with the script.

wharf=${WHARF_BIN:-$PWD/${CARGO_TARGET_DIR:-target}/release/wharf}
[ -x "$wharf" ] || { echo "no $wharf: cargo build --release" >&2; exit 1; }
if [ -z "${DEMO_INSIDE:-}" ]; then
    exec env DEMO_INSIDE=1 unshare --net -- "$0" "$@"
fi

dir=$(mktemp -d /tmp/demo-XXXXXX)
daemon='' registry=''
cleanup() {
    status=$?
    if [ $status -ne 0 ]; then
        echo "--- the demo failed; the daemon's last words:"
        tail -n 60 "$dir/daemon.log" || true
    fi
    [ -z "$daemon" ] || kill -9 "$daemon" 2>/dev/null || true
    [ -z "$registry" ] || kill "$registry" 2>/dev/null || true
    # Whatever is left in this network namespace, and whatever is left in our cgroups.
    here=$(readlink /proc/self/ns/net)
    for proc in /proc/[0-9]*; do
        pid=${proc#/proc/}
        [ "$pid" != $$ ] || continue
        if grep -qs "/${dir##*/}/" "$proc/cgroup" ||
            { [ "$(readlink "$proc/ns/net" 2>/dev/null)" = "$here" ] && [ "$pid" != "$BASHPID" ]; }; then
            kill -9 "$pid" 2>/dev/null || true
        fi
    done
    wait 2>/dev/null || true
    while read -r _ _ _ _ point _; do
        case $point in "$dir"/*) echo "$point" ;; esac
    done </proc/self/mountinfo | sort -r | while read -r point; do umount -l "$point" || true; done
    for _ in 1 2 3; do
        find /sys/fs/cgroup -depth -type d -path "*/${dir##*/}*" -exec rmdir {} + 2>/dev/null || true
    done
    rm -rf "$dir"
    exit $status
}
trap cleanup EXIT

say() { printf '\n\033[1m$ %s\033[0m\n' "$*"; }
show() { say "$*"; "$@"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
# until SECONDS WHAT COMMAND…: tries the command until it succeeds.
until_ok() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || fail "waited in vain for $what"
        sleep 0.02
    done
}

start_daemon() {
    "$wharf" daemon -H "unix://$dir/wharf.sock" --data-root "$dir/data" --exec-root "$dir/exec" \
        --pidfile "$dir/pid" --cgroup-parent "/${dir##*/}" --config-file /dev/null \
        >>"$dir/daemon.log" 2>&1 &
    daemon=$!
    until_ok 20 "the daemon" curl -sf --unix-socket "$dir/wharf.sock" http://x/_ping
}

# A network with an address, and no way out: the demo needs none.
ip link set lo up
ip link add eth0 type veth peer name peer0
ip addr add 192.0.2.10/24 dev eth0
ip link set eth0 up
ip link set peer0 up

# An image from Debian's busybox, as an archive.
root=$dir/root image=$dir/image
mkdir -p "$root"/{bin,etc,proc,sys,dev,tmp,www} "$image"
cp /bin/busybox "$root/bin/busybox"
for applet in $(/bin/busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
echo 'root:x:0:0:root:/:/bin/sh' >"$root/etc/passwd"
echo 'hello from the demo' >"$root/www/index.html"
tar -C "$root" --owner=0 --group=0 -cf "$image/layer.tar" .
layer=$(sha256sum <"$image/layer.tar" | cut -d' ' -f1)
arch=$(dpkg --print-architecture)
cat >"$image/config.json" <<EOF
{"architecture":"$arch","os":"linux",
 "config":{"Env":["PATH=/bin"],"Cmd":["httpd","-f","-vv","-p","80","-h","/www"],
           "ExposedPorts":{"80/tcp":{}}},
 "rootfs":{"type":"layers","diff_ids":["sha256:$layer"]}}
EOF
echo '[{"Config":"config.json","RepoTags":["web:1"],"Layers":["layer.tar"]}]' >"$image/manifest.json"
tar -C "$image" -cf "$dir/web.tar" manifest.json config.json layer.tar

# A real registry with it.
cat >"$dir/registry.yml" <<EOF
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $dir/registry}}
http: {addr: '127.0.0.1:5000', secret: unused}
EOF
OTEL_TRACES_EXPORTER=none docker-registry serve "$dir/registry.yml" >"$dir/registry.log" 2>&1 &
registry=$!
until_ok 20 "the registry" curl -sf http://127.0.0.1:5000/v2/
skopeo --insecure-policy copy --quiet --dest-tls-verify=false \
    "docker-archive:$dir/web.tar" docker://127.0.0.1:5000/web:1

start_daemon
export DOCKER_HOST="unix://$dir/wharf.sock" DOCKER_CONFIG="$dir/config"
mkdir "$dir/config"
