# One release, rollback or deploy at a time, with nothing that has to be installed. docker/slots.sh includes it, and docker/deploy sends
# it to the host in front of docker/deploy_on_host. The script that includes it defines `stop MESSAGE`.
# shellcheck shell=bash
#
# The lock is a named pipe that everything started from here has open too, so it holds until the last of them has ended, even if this
# process is killed, and no reboot leaves it behind. Each holder adds the pipe with the next number: the highest number counts.

locks=var/release

# By names alone: find complains of what another process removes meanwhile.
highest_lock() { (cd "$locks" && printf '%s\n' 0 [0-9]*) | grep -v '\[' | sort -n | tail -n 1; }

# Does a process have that pipe open?
is_held() {
    local began=$SECONDS
    [ -p "$locks/$1" ] || return 1
    # Without 7, opening 8 would wait for a writer.
    # shellcheck disable=SC2094
    exec 7<>"$locks/$1" 8<"$locks/$1" 7>&- || return 0
    # A pipe that nobody writes to is at its end. Bash 3.2 tells that from the end of its patience by the time alone.
    read -r -t 2 -u 8 || true
    exec 8<&-
    [ $((SECONDS - began)) -ge 2 ]
}

# take_lock COMMAND: the pipe is open as 9 until `leave`, or until this process and all that it has started have ended.
take_lock() {
    local last before holder began=$SECONDS mine=$locks/new.$$
    mkdir -p "$locks"
    rm -f "$mine"
    lock=
    if mkfifo "$mine" 2>/dev/null; then
        exec 9<>"$mine"
    else
        # A drive of Windows under WSL has no pipes, but Linux's own program is there.
        exec 9>>"$locks/holder"
        flock -n 9 || stop "Not now: process $(cat "$locks/holder") is at it. Wait until it is done."
        lock=$locks/holder
    fi
    while [ -z "$lock" ]; do
        last=$(highest_lock)
        # Of several that get past this at once, one makes the link, and a number that is no longer the highest does not count.
        if ! is_held "$last" && ln "$mine" "$locks/$((last + 1))" 2>/dev/null && [ "$(highest_lock)" -eq $((last + 1)) ]; then
            lock=$locks/$((last + 1))
            break
        fi
        holder=$(cat "$locks/holder" 2>/dev/null || echo unknown)
        # What one that was killed had started is soon done.
        if kill -0 "${holder%% *}" 2>/dev/null || [ $((SECONDS - began)) -ge 60 ]; then
            rm -f "$mine"
            stop "Not now: process $holder is at it. Wait until it is done."
        fi
    done
    for before in "$locks"/[0-9]*; do [ "$before" = "$lock" ] || rm -f "$before"; done
    rm -f "$mine"
    trap leave EXIT
    echo "$$ (make $1, by $(id -un) since $(date '+%F %T'))" >"$locks/holder"
}

# A file in the place of the pipe: if the number were gone, a process that has just looked could take it again.
leave() {
    [ ! -p "$lock" ] || mv -f "$locks/holder" "$lock"
    lock=
    exec 9>&-
}
