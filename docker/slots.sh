# Shared by docker/release and docker/rollback: the lock, progress lines, the two slots, and switching Nginx between them.
# The including script sets `mode` to the one that it is about to start.
# shellcheck shell=bash disable=SC2154

project=$(docker/read_env COMPOSE_PROJECT_NAME)
nginx_image=$(sed -n '/^  nginx:/,/image:/ s/.*image: //p' docker-compose.yml)
# Seconds that idle connections outlive a reload of Nginx (keepalive_min_timeout in nginx/snippets/limits.conf), plus one: after
# that, no new visitor reaches the previous slot.
idle_visitors=3
# The process that ends when these have passed.
last_visitors=

stop() { echo "$*" >&2; exit 1; }

. docker/lock.sh

# --- Progress ---

step=

# begin NAME WHAT: prints a line for each step, and the time of the one before.
begin() {
    finish
    step=$1 step_began=$(now)
    printf '%-10s %-58s ' "$step" "$2"
}

finish() {
    [ -z "$step" ] || echo "$step_began $(now)" | awk '{ printf ($2 ~ /\./ ? "%.1f s\n" : "%d s\n"), $2 - $1 }'
    step=
}

# Bash 3.2 and macOS's date know whole seconds only. Some locales use a decimal comma.
now() { local at=${EPOCHREALTIME:-$(date +%s)}; echo "${at/,/.}"; }

# Does Nginx serve the site by https? Not if a proxy in front does (ACME_DIRECTORY=off, no HTTPS_PORT).
is_https() { case $(docker/read_env HTTPS_PORT SITE_URL | paste -s -d ' ' -) in ?*' https://'*) ;; *) return 1 ;; esac; }

# variable_of SLOT NAME: its value in the slot's servers.
variable_of() {
    docker inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$(of "web-$1" | head -n 1)" | sed -n "s/^$2=//p"
}

# The site's canonical address, from SITE_URL or HTTP_PORT.
site() { variable_of "$1" SITE_URL | sed 's|,.*||; s|^http://localhost:\(.*:\)|http://\1|'; }

# Prints a command's output only if it fails.
quietly() {
    local said
    said=$("$@" 2>&1 </dev/null) || {
        printf '\n%s\n' "$said" | tail -n 25 >&2
        return 1
    }
}

# --- Slots ---

other() { if [ "$1" = blue ]; then echo green; else echo blue; fi; }

# of SERVICE [STATE]: the service's containers, optionally only those in that state.
of() {
    docker ps --quiet --all --filter "label=com.docker.compose.project=$project" --filter "label=com.docker.compose.oneoff=False" \
        --filter "label=com.docker.compose.service=$1" ${2:+--filter "status=$2"}
}

# in_slot SLOT [STATE]: the slot's containers: of web, of live in hybrid mode, and of all other services with one per slot.
in_slot() {
    docker ps --all --filter "label=com.docker.compose.project=$project" --filter "label=com.docker.compose.oneoff=False" \
        --format '{{.ID}} {{.Label "com.docker.compose.service"}}' ${2:+--filter "status=$2"} | sed -n "s/ .*-$1\$//p"
}

mode_of() { variable_of "$1" SERVER_MODE; }

# is_kept SLOT: does it have all containers of its mode?
is_kept() { [ -n "$(of "web-$1")" ] && { [ "$(mode_of "$1")" != hybrid ] || [ -n "$(of "live-$1")" ]; }; }

# remove CONTAINER…: also removes their anonymous volumes.
remove() { [ $# -eq 0 ] || docker rm --force --volumes "$@" >/dev/null; }

# run_with_other_settings SERVICE…: those whose containers differ from the current docker-compose.yml and .env.
run_with_other_settings() {
    local service wanted
    # Twice, because `up` hashes values, which the first call does not yet read from env_file.
    docker compose --profile '*' config | docker compose --profile '*' --file - config --hash "$(IFS=,; echo "$*")" |
        while read -r service wanted; do
            [ "$(docker inspect --format '{{index .Config.Labels "com.docker.compose.config-hash"}}' "$(of "$service")")" = "$wanted" ] ||
                echo "$service"
        done
}

# healthy CONTAINER…: are there any, and are all healthy?
healthy() {
    [ $# -gt 0 ] && ! docker inspect --format '{{with .State.Health}}{{.Status}}{{else}}{{.State.Status}}{{end}}' "$@" |
        grep -qvxE 'healthy|running'
}

# start_servers SLOT SECONDS: starts its containers and waits until they are healthy. Fails after these seconds, or once one keeps
# crashing.
start_servers() {
    local containers begun=$SECONDS
    containers=$(in_slot "$1")
    # Starting containers must not slow down serving ones. A container has 1024 CPU shares, a worker 512.
    # shellcheck disable=SC2086
    quietly docker update --cpu-shares 256 $containers && quietly docker start $containers || return 1
    # shellcheck disable=SC2086
    until healthy $containers; do
        [ $((SECONDS - begun)) -lt "$2" ] &&
            ! docker inspect --format '{{.RestartCount}} {{.State.Running}}' $containers | grep -qvx '[0-2] true' || return 1
        sleep 0.1
    done
}

# serve_visitors SLOT
serve_visitors() {
    local workers
    workers=$(of "worker-$1")
    # shellcheck disable=SC2046
    quietly docker update --cpu-shares 1024 $(in_slot "$1") || return 1
    # shellcheck disable=SC2086
    [ -z "$workers" ] || quietly docker update --cpu-shares 512 $workers
}

# Runs one command in a container as restricted as the services.
run_closed() {
    docker run --rm --network none --read-only --cap-drop ALL --security-opt no-new-privileges:true --pids-limit 64 \
        --memory 256m "$@"
}

# The slot to which the link `current` or `previous` in /srv/nginx leads; empty if there is none.
linked() {
    local nginx
    nginx=$(of nginx running)
    if [ -n "$nginx" ]; then
        docker exec "$nginx" readlink "/srv/nginx/$1" || true
    elif docker volume inspect "${project}_nginx" >/dev/null 2>&1; then
        run_closed --volume "${project}_nginx:/srv/nginx:ro" --user 101:101 --entrypoint readlink "$nginx_image" "/srv/nginx/$1" || true
    fi
}

# --- Nginx ---

# nginx_files SLOT VERB: docker/nginx_files in that slot's image. The verb publish would also need the settings.
nginx_files() {
    quietly run_closed --volume "${project}_nginx:/srv/nginx" --env "SLOT=$1" --env "SERVER_MODE=$mode" \
        "$project:$1" docker/nginx_files "$2"
}

reload() { quietly docker exec "$(of nginx running)" nginx -c /srv/nginx/current/nginx.conf -s reload; }

# nginx_accepts [OPTION…]: does Nginx accept the configuration of SLOT's image, including nginx/site.d?
nginx_accepts() {
    docker compose --progress quiet run --rm --no-deps -T "$@" nginx-files docker/nginx_files print |
        run_closed --interactive --user 101:101 --tmpfs /tmp --volume "$PWD/docker/serve_nginx:/serve_nginx:ro" \
            --entrypoint /serve_nginx "$nginx_image" test
}

# Does Nginx itself answer, whatever is behind it? One that can't start runs for a moment, again and again.
nginx_answers() {
    # shellcheck disable=SC2046
    healthy $(of nginx running) || docker exec "$(of nginx running)" curl -fsS -o /dev/null --max-time 10 --retry 3 \
        --retry-connrefused http://127.0.0.1:8081/ 2>/dev/null
}

# serves SLOT: do visitors reach it?
serves() {
    quietly docker exec "$(of nginx running)" sh -c "for _ in \$(seq 20); do
        curl -s --max-time 5 http://127.0.0.1:8080/healthz/ready | grep '\"slot\": \"$1\"' && exit; sleep 0.5
    done; exit 1" 2>/dev/null
}

# introduce SLOT: makes its servers known to Nginx and checks that it reaches them; visitors still go to the other slot.
introduce() {
    local nginx
    nginx=$(of nginx running)
    quietly docker exec "$nginx" nginx -t -q -c "/srv/nginx/$1/nginx.conf" || return 1
    nginx_files "$1" introduce && reload || return 1
    # Check the slot's name in the answer: before the reload, another Nginx may still listen there.
    quietly docker exec "$nginx" sh -c "for _ in \$(seq 100); do
        curl -s --noproxy '*' --max-time 5 http://127.0.0.1:8082/healthz/ready | grep '\"slot\": \"$1\"' && exit; sleep 0.1
    done; echo 'Nginx does not reach the servers of $1 within 10 s.'; exit 1" || return 1
    # A worker's first requests read templates and open connections: spare visitors that wait.
    quietly docker exec "$nginx" curl -s --noproxy '*' -o /dev/null --max-time 10 --parallel --parallel-max 8 \
        -H "Host: $(docker exec "$nginx" sed -n 's/^server_name \([^ ;]*\).*/\1/p' "/srv/nginx/$1/rendered/site.conf")" 'http://127.0.0.1:8082/?[1-64]' || true
    serve_visitors "$1"
}

# turn_to SLOT: sends all new requests there, and those on idle connections once `last_visitors` ends.
turn_to() {
    nginx_files "$1" switch && reload || return 1
    leave_time
    docker/configure SLOT="$1" SERVER_MODE="$mode"
}

# smoke SLOT: checks through Nginx that this slot serves in its mode.
smoke() { quietly docker exec "$(of "web-$1" running)" nice python manage.py smoke nginx; }

# leave_time: starts the wait after a reload of Nginx.
leave_time() { sleep "$idle_visitors" & last_visitors=$!; }

# retire SLOT: lets its servers finish requests and disconnect live pages, and keeps the containers for a rollback.
retire() {
    local containers
    [ -z "$last_visitors" ] || wait "$last_visitors"
    last_visitors=
    containers=$(in_slot "$1" running)
    # shellcheck disable=SC2086
    [ -z "$containers" ] || quietly docker stop $containers
}

# Cleans up after an earlier call that was killed and left both slots running. Keeps the slot that Nginx uses if it is healthy, else
# the other one.
recover() {
    local current another
    current=$(linked current)
    [ -n "$current" ] || return 0
    another=$(other "$current")
    [ -n "$(in_slot "$another" running)" ] && nginx_answers || return 0
    begin recover "an earlier call was interrupted"
    # shellcheck disable=SC2046
    if ! healthy $(in_slot "$current") && healthy $(in_slot "$another"); then
        mode=$(mode_of "$another") turn_to "$another"
        another=$current
    fi
    mode=$(mode_of "$(other "$another")") nginx_files "$(other "$another")" forget
    reload
    leave_time
    retire "$another"
    finish
}
