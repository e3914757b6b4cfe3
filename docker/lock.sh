# Allows one release, rollback or deploy at a time, without extra programs. docker/slots.sh includes it, and docker/deploy
# sends it to the host before docker/deploy_on_host. The including script defines `stop MESSAGE`.
# shellcheck shell=bash
#
# The lock is a named pipe that all processes started from here inherit open. So it holds until the last of them ends, even if
# this process is killed, and no reboot leaves it behind. Each holder adds a pipe with the next number; the highest counts.

locks=var/release

# By names only: find complains about files that are removed meanwhile.
highest_lock() { (cd "$locks" && printf '%s\n' 0 [0-9]*) | grep -v '\[' | sort -n | tail -n 1; }

# Does a process have that pipe open?
is_held() {
    local began=$SECONDS
    [ -p "$locks/$1" ] || return 1
    # Without 7, opening 8 would wait for a writer.
    # shellcheck disable=SC2094
    exec 7<>"$locks/$1" 8<"$locks/$1" 7>&- || return 0
    # A pipe without a writer is at its end. Bash 3.2 can tell that from a timeout only by the time.
    read -r -t 2 -u 8 || true
    exec 8<&-
    [ $((SECONDS - began)) -ge 2 ]
}

# take_lock COMMAND: keeps the pipe open as 9 until `leave`, or until this process and all that it started have ended.
take_lock() {
    local last before holder began=$SECONDS mine=$locks/new.$$
    mkdir -p "$locks"
    rm -f "$mine"
    lock=
    if mkfifo "$mine" 2>/dev/null; then
        exec 9<>"$mine"
    else
        # A Windows drive under WSL has no pipes, but Linux's flock exists there.
        exec 9>>"$locks/holder"
        flock -n 9 || stop "Another command is running: process $(cat "$locks/holder"). Try again when it has finished."
        lock=$locks/holder
    fi
    while [ -z "$lock" ]; do
        last=$(highest_lock)
        # Of several processes at this point, one creates the link, and a number that is no longer the highest does not count.
        if ! is_held "$last" && ln "$mine" "$locks/$((last + 1))" 2>/dev/null && [ "$(highest_lock)" -eq $((last + 1)) ]; then
            lock=$locks/$((last + 1))
            break
        fi
        holder=$(cat "$locks/holder" 2>/dev/null || echo unknown)
        # The children of a killed process end soon.
        if kill -0 "${holder%% *}" 2>/dev/null || [ $((SECONDS - began)) -ge 60 ]; then
            rm -f "$mine"
            stop "Another command is running: process $holder. Try again when it has finished."
        fi
    done
    for before in "$locks"/[0-9]*; do [ "$before" = "$lock" ] || rm -f "$before"; done
    rm -f "$mine"
    trap leave EXIT
    echo "$$ (make $1, by $(id -un) since $(date '+%F %T'))" >"$locks/holder"
}

# Leave a file in place of the pipe: if the number disappeared, a process that has just looked could take it again.
leave() {
    [ ! -p "$lock" ] || mv -f "$locks/holder" "$lock"
    lock=
    exec 9>&-
}
