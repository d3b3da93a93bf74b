#!/bin/bash
# The spine, end to end: pull from a local registry, run, reach, look inside, kill the daemon, go
# on; once with Docker's own CLI and once with ours. Needs root and `cargo build --release`.
# Everything happens in a network namespace and in temporary folders of its own.
set -euo pipefail
cd "$(dirname "$0")/.."

source demo/bed.sh

spine() {
    local cli=$1
    printf '\n\033[1;4mwith %s\033[0m\n' "$cli"
    show "$cli" pull 127.0.0.1:5000/web:1
    show "$cli" run -d -p 8080:80 --name web 127.0.0.1:5000/web:1
    show "$cli" ps
    until_ok 10 "the server" curl -sf http://127.0.0.1:8080/
    show curl -s http://127.0.0.1:8080/
    show curl -s http://192.0.2.10:8080/
    say "$cli logs -f web"
    "$cli" logs -f web >"$dir/follow" 2>&1 &
    local follow=$!
    until_ok 10 "the log" grep -q response:200 "$dir/follow"
    head -n 3 "$dir/follow"
    say "$cli exec -it web sh"
    # `script` gives it a terminal.
    printf 'hostname; tty; exit 3\n' |
        script -qec "$cli exec -it web sh" /dev/null && fail "the exit code was lost" || code=$?
    [ "$code" = 3 ] || fail "exit code $code instead of 3"
    show "$cli" inspect --format '{{ .NetworkSettings.IPAddress }}' web
    local address
    address=$("$cli" inspect --format '{{ .NetworkSettings.IPAddress }}' web)
    [ "$(curl -s "http://$address/")" = 'hello from the demo' ] || fail "not at $address"
    say "kill -9 of the daemon"
    kill -9 "$daemon"
    wait "$daemon" 2>/dev/null || true
    show curl -s http://127.0.0.1:8080/
    say "the daemon again"
    start_daemon
    show "$cli" ps
    [ "$("$cli" inspect -f '{{.State.Status}}' web)" = running ] || fail "it does not run"
    wait "$follow" 2>/dev/null || true
    [ "$("$cli" logs web 2>&1 | grep -c response:200)" -ge 3 ] || fail "the log is not complete"
    show "$cli" stop -t 1 web
    curl -s -m 2 http://127.0.0.1:8080/ && fail "it answers although it is stopped"
    show "$cli" start web
    until_ok 10 "the server" curl -sf http://127.0.0.1:8080/
    show curl -s http://127.0.0.1:8080/
    show "$cli" rm -f web
    show "$cli" ps -a
    show "$cli" rmi 127.0.0.1:5000/web:1
}

PATH="${wharf%/*}:$PATH"
spine docker
spine wharf

say "SIGTERM"
kill "$daemon"
wait "$daemon" || fail "the daemon ended with $?"
daemon=''
echo "the whole spine, by both CLIs, in ${SECONDS}s"
