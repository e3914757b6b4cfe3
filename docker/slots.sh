# What docker/release and docker/rollback have in common: the lock, the lines that tell how far it is, the two slots,
# and how Nginx is turned from one to the other.
# The script that includes it says in `mode` which one it is about to start.
# shellcheck shell=bash disable=SC2154

project=$(docker/read_env COMPOSE_PROJECT_NAME)
nginx_image=$(sed -n '/^  nginx:/,/image:/ s/.*image: //p' docker-compose.yml)
# Seconds for which an idle visitor's connection outlives a reload of Nginx (keepalive_min_timeout in
# nginx/snippets/limits.conf), and one more: after that no new visitor comes to the slot that served before.
idle_visitors=4

stop() { echo "$*" >&2; exit 1; }

. docker/lock.sh

# --- How far it is ---

step=

# begin NAME WHAT: one line for each step, and how long the one before took.
begin() {
    finish
    step=$1 step_began=$(now)
    printf '%-10s %-58s ' "$step" "$2"
}

finish() {
    [ -z "$step" ] || echo "$step_began $(now)" | awk '{ printf ($2 ~ /\./ ? "%.1f s\n" : "%d s\n"), $2 - $1 }'
    step=
}

# Bash 3.2, and the date of a Mac, know whole seconds only. Some languages write a comma.
now() { local at=${EPOCHREALTIME:-$(date +%s)}; echo "${at/,/.}"; }

# Does Nginx serve the site by https? Not where a proxy in front does (ACME_DIRECTORY=off, no HTTPS_PORT).
is_https() { case $(docker/read_env HTTPS_PORT SITE_URL | paste -s -d ' ' -) in ?*' https://'*) ;; *) return 1 ;; esac; }

# variable_of SLOT NAME: what its servers were made with.
variable_of() {
    docker inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$(of "web-$1" | head -n 1)" | sed -n "s/^$2=//p"
}

# The site's own address, of those that SITE_URL names, or that HTTP_PORT makes.
site() { variable_of "$1" SITE_URL | sed 's|,.*||; s|^http://localhost:\(.*:\)|http://\1|'; }

# What a command says matters only where it fails.
quietly() {
    local said
    said=$("$@" 2>&1 </dev/null) || {
        printf '\n%s\n' "$said" | tail -n 25 >&2
        return 1
    }
}

# --- Slots ---

other() { if [ "$1" = blue ]; then echo green; else echo blue; fi; }

# of SERVICE [STATE]: the container of a service, whatever its state, or if it is in that one.
of() {
    docker ps --quiet --all --filter "label=com.docker.compose.project=$project" --filter "label=com.docker.compose.oneoff=False" \
        --filter "label=com.docker.compose.service=$1" ${2:+--filter "status=$2"}
}

# in_slot SLOT [STATE]: its containers: of web, of live in hybrid mode, and of every other service that there is once for each slot.
in_slot() {
    docker ps --all --filter "label=com.docker.compose.project=$project" --filter "label=com.docker.compose.oneoff=False" \
        --format '{{.ID}} {{.Label "com.docker.compose.service"}}' ${2:+--filter "status=$2"} | sed -n "s/ .*-$1\$//p"
}

mode_of() { variable_of "$1" SERVER_MODE; }

# is_kept SLOT: has it all the containers of its mode?
is_kept() { [ -n "$(of "web-$1")" ] && { [ "$(mode_of "$1")" != hybrid ] || [ -n "$(of "live-$1")" ]; }; }

# remove CONTAINER…: also with volumes that no other can have.
remove() { [ $# -eq 0 ] || docker rm --force --volumes "$@" >/dev/null; }

# runs_with_other_settings SERVICE: than docker-compose.yml and .env say now?
runs_with_other_settings() {
    local wanted
    # Twice, because the hash that `up` keeps is of values, and the first call does not read them from env_file yet.
    wanted=$(docker compose config | docker compose --file - config --hash "$1" | cut -d ' ' -f 2)
    [ "$(docker inspect --format '{{index .Config.Labels "com.docker.compose.config-hash"}}' "$(of "$1")")" != "$wanted" ]
}

# healthy CONTAINER…: are there any, and all of them healthy?
healthy() {
    [ $# -gt 0 ] && ! docker inspect --format '{{.State.Health.Status}}' "$@" | grep -qvx healthy
}

# What is only starting takes no time from what serves: shares of the processors, of which a container has 1024, and a worker 512.
favour_visitors() { quietly docker update --cpu-shares 256 "$@"; }
# serve_visitors SLOT
serve_visitors() {
    local workers
    workers=$(of "worker-$1")
    # shellcheck disable=SC2046
    quietly docker update --cpu-shares 1024 $(in_slot "$1") || return 1
    # shellcheck disable=SC2086
    [ -z "$workers" ] || quietly docker update --cpu-shares 512 $workers
}

# A container for one command, as closed as the services are.
run_closed() {
    docker run --rm --network none --read-only --cap-drop ALL --security-opt no-new-privileges:true --pids-limit 64 \
        --memory 256m "$@"
}

# The folder of /srv/nginx to which the link `current` or `previous` leads; empty where there is none.
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

# nginx_files SLOT VERB: docker/nginx_files, with the image of that slot; to publish takes the settings as well.
nginx_files() {
    quietly run_closed --volume "${project}_nginx:/srv/nginx" --env "SLOT=$1" --env "SERVER_MODE=$mode" \
        "$project:$1" docker/nginx_files "$2"
}

reload() { quietly docker exec "$(of nginx running)" nginx -c /srv/nginx/current/nginx.conf -s reload; }

# nginx_accepts [OPTION…]: the configuration that the image of SLOT brings, nginx/site.d included?
nginx_accepts() {
    docker compose --progress quiet run --rm --no-deps -T "$@" nginx-files docker/nginx_files print |
        run_closed --interactive --user 101:101 --tmpfs /tmp --volume "$PWD/docker/serve_nginx:/serve_nginx:ro" \
            --entrypoint /serve_nginx "$nginx_image" test
}

# Does Nginx itself, whatever is behind it? One that cannot start runs for a moment, again and again.
nginx_answers() {
    # shellcheck disable=SC2046
    healthy $(of nginx running) || docker exec "$(of nginx running)" curl -fsS -o /dev/null --max-time 10 --retry 3 \
        --retry-connrefused http://127.0.0.1:8081/ 2>/dev/null
}

# serves SLOT: do visitors get it?
serves() {
    quietly docker exec "$(of nginx running)" sh -c "for _ in \$(seq 20); do
        curl -s --max-time 5 http://127.0.0.1:8080/healthz/ready | grep '\"slot\": \"$1\"' && exit; sleep 0.5
    done; exit 1" 2>/dev/null
}

# introduce SLOT: Nginx learns its servers and reaches them; visitors are sent on to the other one.
introduce() {
    local nginx
    nginx=$(of nginx running)
    quietly docker exec "$nginx" nginx -t -q -c "/srv/nginx/$1/nginx.conf" || return 1
    nginx_files "$1" introduce && reload || return 1
    # By the name of the slot in the answer: the door of the Nginx from before the reload may still be open.
    quietly docker exec "$nginx" sh -c "for _ in \$(seq 100); do
        curl -s --noproxy '*' --max-time 5 http://127.0.0.1:8082/healthz/ready | grep '\"slot\": \"$1\"' && exit; sleep 0.1
    done; echo 'Nginx does not reach the servers of $1 within 10 s.'; exit 1" || return 1
    # The first requests of a worker wait for templates to be read and connections to be made. Let it not be visitors.
    quietly docker exec "$nginx" curl -s --noproxy '*' -o /dev/null --max-time 10 --parallel --parallel-max 8 \
        -H "Host: $(docker exec "$nginx" sed -n 's/^server_name \([^ ;]*\).*/\1/p' "/srv/nginx/$1/rendered/site.conf")" 'http://127.0.0.1:8082/?[1-64]' || true
    serve_visitors "$1"
}

# turn_to SLOT: every new request goes there.
turn_to() {
    nginx_files "$1" switch && reload || return 1
    docker/configure SLOT="$1" SERVER_MODE="$mode"
}

# smoke SLOT: asks through Nginx whether it is this slot that serves, in its mode.
smoke() { quietly docker exec "$(of "web-$1" running)" nice python manage.py smoke nginx; }

# retire SLOT: its servers end what they have begun and send live pages away; the containers stay, for a rollback.
retire() {
    local containers
    containers=$(in_slot "$1" running)
    # shellcheck disable=SC2086
    [ -z "$containers" ] || quietly docker stop $containers
}

# What an earlier call has left that was killed on its way: two slots that run. The one that Nginx is to send visitors to
# stays if it can serve, else the other one.
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
    sleep "$idle_visitors"
    retire "$another"
    finish
}
