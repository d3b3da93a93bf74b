#!/bin/bash
# Networks and volumes of one's own, once with Docker's own CLI and once with ours: who reaches whom,
# by address and by name, what is published, and data that outlives its containers. Needs root and
# `cargo build --release`; everything happens in a network namespace of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
source demo/bed.sh

reaches() { "$cli" exec "$1" ping -c 1 -W 1 "$2" >/dev/null 2>&1; }
apart() { ! reaches "$1" "$2" || fail "$1 reaches $2"; }
address() { "$cli" inspect -f "{{(index .NetworkSettings.Networks \"$2\").IPAddress}}" "$1"; }

networks() {
    cli=$1
    printf '\n\033[1;4mwith %s\033[0m\n' "$cli"
    show "$cli" pull -q 127.0.0.1:5000/web:1
    show "$cli" network create nw_1
    show "$cli" network create nw_2
    for one in 1 2; do show "$cli" run -d --name "cont_0$one" --network nw_1 127.0.0.1:5000/web:1; done
    show "$cli" run -d --name cont_03 --network nw_2 -p 8080:80 127.0.0.1:5000/web:1
    show "$cli" exec cont_01 ping -c 1 cont_02
    apart cont_01 "$(address cont_03 nw_2)"
    apart cont_03 cont_01
    say "across it does not work; now cont_03 is in both"
    show "$cli" network connect nw_1 cont_03
    show "$cli" exec cont_01 ping -c 1 cont_03
    show "$cli" inspect -f '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}' cont_03
    until_ok 10 "the published port" curl -sf http://127.0.0.1:8080/
    show "$cli" network disconnect nw_1 cont_03
    apart cont_01 cont_03

    show "$cli" volume create data
    show "$cli" run --rm -v data:/data 127.0.0.1:5000/web:1 sh -c 'echo kept > /data/row'
    show "$cli" run --rm -v data:/data 127.0.0.1:5000/web:1 cat /data/row
    show "$cli" volume inspect data
    say "wharf volume snapshot, export, import"
    wharf volume clone data again
    wharf volume export data -o "$dir/data.tar.zst"
    wharf volume import third "$dir/data.tar.zst"
    for name in again third; do
        [ "$("$cli" run --rm -v "$name:/data" 127.0.0.1:5000/web:1 cat /data/row)" = kept ] || fail "$name is not data"
    done
    show wharf firewall
    show "$cli" rm -f cont_01 cont_02 cont_03
    show "$cli" network prune -f
    show "$cli" volume rm data again third
    show "$cli" image prune -af
}

PATH="${wharf%/*}:$PATH"
networks docker
networks wharf
echo "networks and volumes, by both CLIs, in ${SECONDS}s"
