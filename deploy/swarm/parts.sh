# Deploys the stack to the swarm part by part for deploy/swarm/stack, and reports the results.
# The including script sets `project` to the stack's name, and defines `stop MESSAGE`.
# shellcheck shell=bash disable=SC2154

file=deploy/swarm/stack.yml
# Services that get your own secrets, those in secrets/app.
ours='check safety migrate smoke files web live worker'
# The time limit of a job in seconds: migrating a large table is slow.
DONE_WITHIN=3600

# --- Deploying ---

hash_of() { sha256sum "$1" | cut -c 1-12; }

# values: exports the file's variables.
values() {
    local names name path assignment
    names=$(grep -oE '\$\{[A-Z0-9_]+' $file | cut -c 3- | sort -u |
        grep -vE '^(HASH_.*|RELEASE|BEFORE|BEFORE_MODE|LIVE_REPLICAS|STARTS_WITHIN|UNSAFE|BACKUP_VERB)$')
    # shellcheck disable=SC2086
    while read -r assignment; do export "${assignment?}"; done < <(paste -d = <(echo "$names") <(docker/read_env $names))
    # shellcheck disable=SC2013
    for name in $(cat .env.names); do export "$name=$(docker/read_env "$name")"; done
    while read -r path; do
        export "HASH_$(basename "$path" | tr a-z. A-Z_)=$(hash_of "$path")"
    done < <(sed -n 's/.*{file: \([^,]*\),.*/\1/p' $file)
    export SITE_URL="${SITE_URL:-http://localhost:$HTTP_PORT}" READY_WITHIN
    READY_WITHIN=$(docker/read_env READY_WITHIN)
    export STARTS_WITHIN=$((READY_WITHIN - 15))
    [ "$STARTS_WITHIN" -ge 5 ] || STARTS_WITHIN=5
    export LIVE_REPLICAS=0 UNSAFE=${ALLOW_UNSAFE:+--allow-unsafe} BACKUP_VERB='' RELEASE='' BEFORE='' BEFORE_MODE=''
}

# parts SERVICE…: prints the file with these services only.
parts() {
    awk -v wanted=" $* " '
        /^[^ #]/ { inside = $1 == "services:"; keep = 1 }
        inside && /^  [a-z]/ { name = $1; sub(/:$/, "", name); keep = index(wanted, " " name " ") }
        keep' $file
}

# own SERVICE…: prints what the file can't contain: your own secrets, the https port and its certificate.
own() {
    local path app='' site='' services='' service port
    for path in secrets/app/*; do
        [ ! -f "$path" ] || app="$app{source: own-${path##*/}, target: /run/secrets/app/${path##*/}}, "
    done
    for path in secrets/certificate/*.pem; do
        [ ! -f "$path" ] || site="$site{source: own-${path##*/}, target: /run/secrets/site/${path##*/}, uid: \"101\", mode: 0400}, "
    done
    port=$(docker/read_env HTTPS_PORT)
    for service; do
        case " $ours " in *" $service "*) [ -z "$app" ] || services="$services  $service: {secrets: [$app]}"$'\n' ;; esac
        [ "$service,$port" = nginx, ] || [ "$service" != nginx ] ||
            services="$services  nginx: {secrets: [$site], ports: [{target: 8443, published: $port, protocol: tcp, mode: host}, {target: 8443, published: $port, protocol: udp, mode: host}]}"$'\n'
    done
    [ -n "$services" ] || return 0
    printf 'services:\n%ssecrets:\n' "$services"
    for path in secrets/app/* secrets/certificate/*.pem; do
        [ ! -f "$path" ] || echo "  own-${path##*/}: {file: ./$path, name: ${project}_own-${path##*/}-$(hash_of "$path")}"
    done
}

# deploy SERVICE…: deploys them as in the file. Swarm changes only what differs.
deploy() {
    local more=()
    mkdir -p var
    own "$@" >var/swarm.yml
    [ ! -s var/swarm.yml ] || more=(--compose-file var/swarm.yml)
    parts "$@" | docker stack deploy --detach=true --with-registry-auth --resolve-image changed --compose-file - ${more[@]+"${more[@]}"} "$project" >/dev/null
}

# --- Results ---

# spec SERVICE FORMAT: from its last specification; nothing if it does not exist.
spec() { docker service inspect --format "{{with .Spec}}$2{{end}}" "${project}_$1" 2>/dev/null || true; }

image_of() { spec "$1" '{{.TaskTemplate.ContainerSpec.Image}}'; }
mode_of() { spec web '{{range .TaskTemplate.ContainerSpec.Env}}{{println .}}{{end}}' | sed -n 's/^SERVER_MODE=//p'; }
label_of() { spec web "{{index .Labels \"release.$1\"}}"; }

# counts SERVICE: "2/3" of its containers run; for a job, "0/1 (1/1 completed)".
counts() { docker service ls --filter "name=${project}_$1" --format '{{.Name}} {{.Replicas}}' | sed -n "s/^${project}_$1 //p"; }

# tasks SERVICE FORMAT: newest first.
tasks() { docker service ps --no-trunc --format "$2" "${project}_$1" 2>/dev/null || true; }

# nodes_of SERVICE: the node of each container that has to run.
nodes_of() { docker service ps --filter desired-state=running --format '{{.Node}}' "${project}_$1" | sort; }

# is_uneven SERVICE: does a node that takes containers have two fewer than another?
is_uneven() {
    { docker node ls --format '{{.Hostname}} {{.Status}} {{.Availability}}' | sed -n 's/ Ready Active$//p' &&
        nodes_of "$1"; } | sort | uniq -c |
        awk 'NR == 1 || $1 < least { least = $1 } $1 > most { most = $1 } END { exit most < least + 2 }'
}

# explain SERVICE: why its containers failed, and the last log lines of the newest failed one.
explain() {
    local failed
    # shellcheck disable=SC2046
    failed=$(docker inspect --type task --format '{{json .Status.Timestamp}} {{.Status.State}} {{.ID}}' \
        $(docker service ps --quiet "${project}_$1") 2>/dev/null | grep -E ' (failed|rejected|complete) ' | sort | tail -n 1 | cut -d ' ' -f 3) || true
    echo "--- $1:" >&2
    tasks "$1" '{{.ID}} {{.Node}}: {{.CurrentState}} {{.Error}}' | grep -E "^${failed:-none} |: (Pending|Starting|Preparing)" |
        cut -d ' ' -f 2- | head -n 3 >&2 || true
    docker service logs --raw --tail 20 "${failed:-${project}_$1}" 2>&1 | tail -n 20 >&2 || true
}

# job NAME: runs it to its end. Polls, because Swarm itself would wait forever for a job that fails.
job() {
    local state began=$SECONDS
    forget "$1"
    deploy "$1" || return 1
    while [ $((SECONDS - began)) -lt $DONE_WITHIN ]; do
        [[ $(counts "$1") =~ \(([0-9]+)/([0-9]+)\ completed\) ]] || BASH_REMATCH=('' 0 1)
        [ "${BASH_REMATCH[1]}" -lt "${BASH_REMATCH[2]}" ] || [ "${BASH_REMATCH[2]}" = 0 ] || return 0
        state=$(tasks "$1" '{{.Node}}: {{.CurrentState}} {{.Error}}')
        if grep -qE ': (Failed|Rejected|Orphaned)' <<<"$state" ||
            { [ $((SECONDS - began)) -ge 60 ] && grep -q ': *Pending .*no suitable node' <<<"$state"; }; then
            explain "$1"
            return 1
        fi
        sleep 0.5
    done
    echo "$1 has not ended within $DONE_WITHIN s." >&2
    return 1
}

# said NAME: a job's output.
said() { docker service logs --raw "${project}_$1" 2>/dev/null; }

forget() { docker service rm "${project}_$1" >/dev/null 2>&1 || true; }

state_of() { docker service inspect --format '{{with .UpdateStatus}}{{.State}}{{end}}' "${project}_$1"; }

# begun SERVICE: has Swarm started its last update, or do its containers already match?
begun() {
    local told task empty='s/,"DNSConfig":{}//'
    [ -z "$(state_of "$1")" ] || return 0
    # Swarm omits it in some specifications.
    told=$(spec "$1" '{{json .TaskTemplate.ContainerSpec}}' | sed "$empty")
    for task in $(docker service ps --quiet --filter desired-state=running "${project}_$1"); do
        [ "$(docker inspect --type task --format '{{json .Spec.ContainerSpec}}' "$task" 2>/dev/null | sed "$empty")" = "$told" ] || return 1
    done
}

# states SERVICE…: a line for each with "done" if it matches its specification, "undone" if Swarm reverts it, else "coming".
states() {
    { docker service inspect --format '{{.Spec.Name}} {{with .UpdateStatus}}{{.State}}{{end}}' "${@/#/${project}_}" && echo &&
        docker service ls --format '{{.Name}} {{.Replicas}}'; } | awk -v stack="${project}_" '
        !NF { counting = 1; next }
        !counting { state[$1] = $2; next }
        $1 in state {
            split($2, running, "/")
            became = "coming"
            if (state[$1] ~ /^(rollback|paused)/) became = "undone"
            # Surplus containers are about to stop, which takes a worker time.
            if (state[$1] ~ /^(completed)?$/ && running[1] >= running[2] + 0) became = "done"
            print substr($1, length(stack) + 1), became
        }'
}

# settle SECONDS SERVICE…: waits until they are done; after so many seconds without progress, explains the first that is not.
# A failed container of the release ends the wait: if it is the last but one, Swarm may first try the last one as well.
settle() {
    local within=$1 began=$SECONDS service found now before='' ended known=none
    shift
    # Swarm reports an update only once it has started, and a busy manager takes its time.
    for service; do until begun "$service" || [ $((SECONDS - began)) -ge 15 ]; do sleep 0.5; done; done
    while true; do
        found=$(states "$@") || true
        [ "$(grep -c ' done$' <<<"$found")" -lt $# ] || return 0
        service=$(sed -n 's/ undone$//p' <<<"$found" | head -n 1)
        now=$(docker service ps --no-trunc --format '{{.ID}} {{.Name}} {{.Image}} {{.CurrentState}}' "${@/#/${project}_}" | cut -d ' ' -f 1-4) || true
        ended=$(awk -v image="${RELEASE:-}" '$3 == image && $4 ~ /^(Failed|Rejected|Complete)$/ { print $2, $1 }' <<<"$now" | sort)
        [ "$known" != none ] || known=$ended
        [ -n "$service" ] || service=$(comm -13 <(echo "$known") <(echo "$ended") | sed -nE "1s/^${project}_([a-z-]+).*/\1/p")
        [ "$now" = "$before" ] || began=$SECONDS before=$now
        [ -n "$service" ] || [ $((SECONDS - began)) -lt "$within" ] || service=$(sed -n 's/ coming$//p' <<<"$found" | head -n 1)
        [ -z "$service" ] || { explain "$service"; return 1; }
        sleep 0.5
    done
}

# tidy: removes unused secrets and configs. Swarm keeps those in use.
tidy() {
    local kind
    for kind in secret config; do
        docker "$kind" ls --filter "label=com.docker.stack.namespace=$project" --format '{{.Name}}' | while read -r name; do
            case $name in
                "$project"_*-*) docker "$kind" rm "$name" >/dev/null 2>&1 || true ;;
            esac
        done
    done
}
