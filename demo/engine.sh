#!/bin/bash
# The rest of the engine, once with Docker's own CLI and once with ours: limits and health, files in
# and out, pause, update, statistics, images made, saved and pushed, and what is cleaned up. Needs
# root and `cargo build --release`; everything happens in a network namespace of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
source demo/bed.sh

engine() {
    local cli=$1
    printf '\n\033[1;4mwith %s\033[0m\n' "$cli"
    show "$cli" pull -q 127.0.0.1:5000/web:1
    show "$cli" run -d --name web --memory 64m --restart unless-stopped --mount type=volume,src=data,dst=/data \
        --add-host gate:host-gateway --health-cmd 'wget -qO- 127.0.0.1' --health-interval 300ms \
        127.0.0.1:5000/web:1
    healthy() { [ "$("$cli" inspect -f '{{.State.Health.Status}}' web)" = healthy ]; }
    until_ok 20 "its health" healthy
    show "$cli" ps
    echo 'changed from outside' >"$dir/index.html"
    show "$cli" cp "$dir/index.html" web:/www/index.html
    [ "$("$cli" exec web wget -qO- 127.0.0.1)" = 'changed from outside' ] || fail "the copy is not served"
    say "$cli cp web:/etc/passwd -"
    "$cli" cp web:/etc/passwd - | tar -tvf -
    show "$cli" diff web
    show "$cli" top web
    show "$cli" stats --no-stream web
    show "$cli" update --memory 96m --memory-swap 192m web
    show "$cli" pause web
    show "$cli" ps --format '{{.Names}}: {{.Status}}'
    show "$cli" unpause web
    show "$cli" rename web shop
    show "$cli" commit -m 'a new page' shop 127.0.0.1:5000/web:2
    show "$cli" history 127.0.0.1:5000/web:2
    show "$cli" push 127.0.0.1:5000/web:2

    say "$cli save 127.0.0.1:5000/web:1 127.0.0.1:5000/web:2 | $cli load"
    "$cli" save 127.0.0.1:5000/web:1 127.0.0.1:5000/web:2 | "$cli" load
    [ "$("$cli" run --rm 127.0.0.1:5000/web:2 cat /www/index.html)" = 'changed from outside' ] ||
        fail "the new image has the old page"
    say "$cli export shop | tar -t"
    "$cli" export shop | tar -t | grep -x www/index.html
    show "$cli" events --since 1h --until 0s --filter container=shop --format '{{.Type}} {{.Action}}'
    show "$cli" rm -f shop
    show "$cli" system df
    show "$cli" image prune -af
    show "$cli" container prune -f
    [ -z "$("$cli" ps -aq)$("$cli" images -q)" ] || fail "something is left"
}

PATH="${wharf%/*}:$PATH"
engine docker
engine wharf
echo "the engine, by both CLIs, in ${SECONDS}s"
