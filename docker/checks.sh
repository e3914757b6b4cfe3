# Checks of this machine and of .env that need no running stack. docker/preflight stops at the first broken one, docker/doctor runs
# all. The including script sets `project` and defines `fine WHAT`, `warn WHAT WHY FIX`, and `broken WHAT WHY FIX`, which fails. A
# check fails if the checks after it would be meaningless.
# shellcheck shell=bash

# --- Docker ---

check_engine() {
    local answer
    command -v docker >/dev/null ||
        { broken 'Docker is not installed' 'The stack runs in containers.' \
            'see https://docs.docker.com/engine/install/, or run the project without it (make run-wsgi).'; return; }
    if answer=$(docker info --format '{{.ServerVersion}}' 2>&1); then
        fine "Docker $answer"
    elif [[ $answer == *'permission denied'* ]]; then
        broken "$(id -un) may not use Docker" 'Every command of the stack needs it.' \
            "join the group (sudo usermod -aG docker $(id -un)), sign out and in again, or use sudo."
    else
        broken "The Docker Engine does not answer${DOCKER_HOST:+ at $DOCKER_HOST}" 'Nothing runs without it.' 'start it (sudo systemctl start docker, or Docker Desktop).'
    fi
}

check_compose() {
    local version
    version=$(docker compose version --short 2>/dev/null) ||
        { broken 'Docker Compose is not installed' 'The stack needs it.' \
            'install the plugin, 2.24 or newer (https://docs.docker.com/compose/install/).'; return; }
    [[ $version =~ ^v?([0-9]+)\.([0-9]+) ]] || true
    ((BASH_REMATCH[1] * 1000 + BASH_REMATCH[2] < 2024)) || { fine "Compose $version"; return; }
    broken "Docker Compose $version is too old" 'It cannot read docker-compose.yml.' \
        'update it to 2.24 or newer (https://docs.docker.com/compose/install/).'
}

# The Makefile calls the scripts of other engines.
check_engine_name() {
    local engine
    engine=$(docker/read_env ENGINE)
    case $engine in
        compose) fine 'Compose on this machine' ;;
        swarm | kubernetes) broken "ENGINE=$engine" 'This command works on the stack of this machine only.' "run it through make, or set ENGINE=compose in .env." ;;
        *) broken "ENGINE='$engine' is wrong" 'It sets where the stack runs.' 'expected compose, swarm or kubernetes, in .env.' ;;
    esac
}

# --- This checkout ---

# Windows disks under WSL have no Linux file system. Git preserves line endings; an editor or a copy may not.
check_checkout() {
    local file
    file=$(grep -lI $'\r' docker/* docker/hooks/* secrets/* 2>/dev/null | head -n 1)
    [ -z "$file" ] || { broken "$file has the line ends of Windows (CRLF)" 'The invisible character counts: a shell does not find the program, and a password differs.' \
        "perl -pi -e 's/\\r\$//' $file"; return; }
    if [[ $(uname -r) == *[Mm]icrosoft* && $(findmnt -n -o FSTYPE -T .) =~ ^(v9fs|drvfs|virtiofs|fuse.*)$ ]]; then
        warn "This clone is on a Windows disk, in $PWD" \
            'Files there are slow and have no permissions: everyone can read secrets/, and scripts may not run.' \
            "clone it inside WSL, for example to ~/${PWD##*/}, and copy .env and secrets/ there."
    else
        fine 'it is on a disk of this system'
    fi
}

# check_place PROJECT: were its containers created by this clone, in its current folder?
check_place() {
    local folder
    while read -r folder; do
        if [ -z "$folder" ] || [ "$folder" -ef . ]; then continue; fi
        # A file, because Docker creates empty folders for missing mounts.
        if [ -f "$folder/docker-compose.yml" ]; then
            broken "$1 is the stack of the clone in $folder" 'This clone would take over its containers and data, without its secrets.' \
                "run this there, or give this clone its own stack: docker/configure COMPOSE_PROJECT_NAME=$1-2 HTTP_PORT=8090"
        else
            broken "The containers of $1 were made in $folder, where there is no clone" 'They cannot start again without the files there.' \
                "if you moved it here, docker compose --profile '*' down and make up-$(docker/read_env SERVER_MODE) (the data stays); if this is another clone, docker/configure COMPOSE_PROJECT_NAME=$1-2 HTTP_PORT=8090"
        fi
        return
    done < <(docker ps --all --filter "label=com.docker.compose.project=$1" --filter label=com.docker.compose.oneoff=False \
        --format '{{.Label "com.docker.compose.project.working_dir"}}' 2>/dev/null)
    fine 'the stack is that of this clone'
}

# --- .env and secrets/ ---

secret() { cat "secrets/$1" 2>/dev/null || true; }

# password_for SERVICE ADDRESS: the one in that secret, if it is a URL of this service.
password_for() { [ "$(docker/address host "secrets/$2")" != "$1" ] || docker/address password "secrets/$2"; }

# Is the database or Redis this stack's own?
is_ours() { [ "$(docker/address host "secrets/$2")" = "$1" ]; }

# Has the stack been started here? make dev-docker creates only secrets/app.
has_secrets() { [ -n "$(find secrets -maxdepth 1 -type f 2>/dev/null)" ]; }

check_owner() {
    local path
    for path in .env secrets; do
        [ ! -e "$path" ] || [ -r "$path" ] ||
            { broken "$path cannot be read by $(id -un)" 'It contains the settings of the stack.' 'run this as its owner.'; return; }
    done
    if [ -e .env ]; then fine 'it can be read'; else fine 'there is none yet: make up-wsgi, make up-asgi or make up-hybrid creates it'; fi
}

check_env_file() {
    local volume=${project}_postgres
    [ -w . ] || { broken "$(pwd) cannot be written by $(id -un), so .env cannot be created" 'It contains the settings of the stack.' \
        'clone into a folder of your own.'; return; }
    [ -s secrets/postgres_password ] || ! docker volume inspect "$volume" >/dev/null 2>&1 ||
        { broken "The volume $volume holds a database whose password was in secrets/postgres_password, which is missing" \
            'A new password would not open that database.' \
            'put that file back, set another COMPOSE_PROJECT_NAME, or remove the volume and its data (docker volume rm).'; return; }
    fine 'the folder can be written, and no database has lost its password'
}

check_secret_files() {
    local file
    # shellcheck disable=SC2013
    for file in $(sed -n 's|.*{file: \./\(secrets/.*\)}$|\1|p' docker-compose.yml); do
        [ -f "$file" ] || { broken "$file is missing" 'No container starts without it.' \
            'put it back, or run make up-wsgi, make up-asgi or make up-hybrid, which create missing files.'; return; }
    done
    fine 'all are there'
}

# The containers' users read the files; the folder keeps others out.
check_readable() {
    local closed
    closed=$(find secrets -mindepth 1 \( -type f ! -perm -004 -o -type d ! -perm -005 \) | head -n 1)
    [ -z "$closed" ] || broken "$closed cannot be read by the users of the containers" 'They do not start.' "chmod -R a+rX '$closed'"
}

check_permissions() {
    if [ -n "$(git ls-files secrets 2>/dev/null)" ]; then
        broken 'secrets/ is in Git' 'Everyone with access to the repository has the secrets.' \
            'git rm -r --cached secrets, commit, and replace every secret.'
    elif [ -n "$(find secrets -maxdepth 0 \( -perm -001 -o -perm -010 \))" ]; then
        warn 'Other users of this machine can enter secrets/' 'The secrets let them sign in as any user.' 'chmod 700 secrets'
    else
        fine 'only its owner can enter secrets/'
    fi
}

check_secrets() {
    local key weak='' service address name
    key=$(secret secret_key)
    if [[ $key =~ insecure|change-?me|secret.*key ]]; then weak='looks like an example'
    elif [ ${#key} -lt 50 ]; then weak="has ${#key} characters, and needs 50"
    elif [ "$(printf %s "$key" | fold -w 1 | sort -u | wc -l)" -lt 5 ]; then weak='repeats a few characters'; fi
    [ -z "$weak" ] || broken "The key in secrets/secret_key $weak" 'An attacker who guesses it can sign in as any user.' \
        "od -An -v -tx1 -N32 /dev/urandom | tr -d ' \\n' >secrets/secret_key, then make release"
    for address in postgres:database_url redis:redis_url; do
        service=${address%:*} address=${address#*:} name=secrets/${service}_password
        if ! is_ours "$service" "$address"; then continue
        elif [ "$(password_for "$service" "$address")" != "$(cat "$name")" ]; then
            broken "The password in secrets/$address differs from $name" 'PostgreSQL or Redis refuses the servers.' \
                "make them equal, then docker compose restart $service (PostgreSQL keeps the password that it was created with) and make release" ||
                weak=1
        elif [ "$(tr -d '\n' <"$name" | wc -c)" -lt 16 ]; then
            weak=1
            warn "The password in $name has fewer than 16 characters" 'A container could guess it.' \
                "choose a longer one, in secrets/$address too; PostgreSQL keeps the one that it was created with (ALTER ROLE)"
        fi
    done
    [ -n "$weak" ] || fine 'long enough, and none is an example'
}

# Does Compose parse .env as intended, and does something read every name in it?
check_variables() {
    local name said settings unread=''
    said=$(docker compose config --quiet 2>&1) ||
        { broken "Compose does not understand the files: $(echo "$said" | tail -n 1)" 'Nothing starts.' 'correct the line that it names.'; return; }
    name=$(echo "$said" | sed -n 's/.*The \\*"\([^"\\]*\)\\*" variable is not set.*/\1/p' | head -n 1)
    [ -z "$name" ] || { broken "Compose reads \$$name in .env as a variable" \
        'The containers get another value than the one in .env.' 'put that value into single quotes.'; return; }
    settings=$(find . -path '*/settings*' -name '*.py' ! -path './.*' ! -path './kit/*')
    # A host with only the image has no settings.
    [ -z "$settings" ] || for name in $(docker/read_env --own); do
        ! grep -q "\${\{0,1\}$name" .env || continue
        echo "$settings" | tr '\n' '\0' | xargs -0 grep -qwF -e "$name" docker-compose*.yml || unread="$unread $name"
    done
    if [ -n "$unread" ]; then
        warn "No settings read$unread of .env" 'A misspelt name has no effect.' \
            'correct the name (.env.example lists the stack'"'"'s), or remove the line. Ignore this if a package reads it.'
    else
        fine 'every variable of .env is known'
    fi
}

# --- Your own: docker/hooks/, docker-compose.override.yml ---

check_own() {
    local file
    for file in docker/hooks/*; do
        case ${file##*/} in
            README.md | '*') ;;
            before_release | after_release)
                if [ -x "$file" ]; then fine "$file runs with a release"
                else warn "$file is not executable" 'A release skips it.' "chmod +x $file"; fi ;;
            *) warn "$file is not a release hook" 'It never runs.' 'name it before_release or after_release, or call it from one of them.' ;;
        esac
    done
    [ ! -e docker-compose.override.yml ] || fine 'docker-compose.override.yml counts too'
}

# --- Mode ---

check_mode() {
    local modes
    modes=$(sed -n '/^  web-blue:/,/profiles:/ { /profiles:/ { s/[][,]//g; s/.*profiles: //; s/blue-//g; p; }; }' docker-compose.yml)
    case " $modes " in
        *" ${1:-none} "*) fine "$1" ;;
        *) broken "SERVER_MODE='$1' is wrong" 'It decides which servers answer.' "expected one of $modes." ;;
    esac
}

# --- Address and ports ---

# The host in a URL.
host_of() {
    local rest=${1#*://}
    case $rest in \[*) echo "${rest%%]*}]" ;; *) echo "${rest%%:*}" ;; esac
}

# reached VALUE: the host and port that this machine uses to reach HTTP_PORT=8080, 127.0.0.1:8080 or [::1]:8080.
reached() {
    case $1 in *:*) echo "${1%:*} ${1##*:}" | tr -d '[]' ;; *) echo "127.0.0.1 $1" ;; esac
}

check_address() {
    local sites site published port
    local no_host='\.\.|\.-|-\.|[*_?#]'
    sites=$(docker/read_env SITE_URL)
    published=$(docker/read_env HTTP_PORT)
    port=${published##*:}
    [ "$port" != "$published" ] || published=localhost:$port
    [ -n "$sites" ] || { fine "SITE_URL follows HTTP_PORT: http://$published"; return; }
    for site in ${sites//,/ }; do
        [[ $site =~ ^https?://[^/@]+$ && ! .$(host_of "$site"). =~ $no_host ]] ||
            { broken "SITE_URL='$site' is wrong" 'Allowed hosts, cookies, the origins of forms and the certificate follow from it.' \
                'expected an address without a path, such as https://www.example.com or http://localhost:8080, in .env. A host name has letters, digits and hyphens between dots.'; return; }
    done
    site=${sites%%,*}
    if [[ $site =~ ^http://(localhost|127\.0\.0\.1|\[::1\])(:([0-9]+))?$ ]] && [ "${BASH_REMATCH[3]:-80}" != "$port" ]; then
        broken "SITE_URL=$site, but Nginx is published on port $port" \
            'The servers refuse forms and WebSockets from the address that browsers show.' \
            "SITE_URL=http://${BASH_REMATCH[1]}:$port in .env, or another HTTP_PORT."
    elif [ "${site%%:*}" = https ] && [ "$(docker/read_env ACME_DIRECTORY)" = off ] && [ -z "$(docker/read_env TRUSTED_PROXIES)" ] &&
        ! docker compose exec -T certificates test -e /certificates/site </dev/null >/dev/null 2>&1; then
        warn 'SITE_URL is https, ACME_DIRECTORY=off, TRUSTED_PROXIES is empty, and no certificate is installed' \
            'If a proxy in front holds the certificate and uses http to reach this machine, each page redirects to itself.' \
            'set TRUSTED_PROXIES to its network in .env, or install your own certificate (docs/operations.md).'
    else
        fine "$sites"
    fi
}

# Arguments: a variable's name, and an example of its value.
check_port() {
    local value host port valid='^((([0-9]+\.){3}[0-9]+|\[[0-9a-fA-F:.]+\]):)?[0-9]+$'
    value=$(docker/read_env "$1")
    # The https port is optional.
    [ "$1" = HTTP_PORT ] || [ -n "$value" ] || return 0
    [[ $value =~ $valid ]] || { broken "$1='$value' is wrong" 'Nginx listens on it.' \
        "expected a port such as $2, or one for this machine only, such as 127.0.0.1:$2."; return; }
    read -r host port < <(reached "$value")
    if [ -n "$(docker ps --quiet --filter "publish=$port" --filter "label=com.docker.compose.project=$project")" ]; then
        fine "$port is Nginx's"
    # An accepted connection means that something listens.
    elif (exec 3<>"/dev/tcp/$host/$port") 2>/dev/null; then
        broken "Port $port is taken by another program" 'Nginx needs it.' "stop it, or choose another port ($1=$(($2 + 1)) in .env)."
    else
        fine "$port is free"
    fi
}

check_dns() {
    local site host addresses
    command -v getent >/dev/null || return 0
    for site in $(docker/read_env SITE_URL | tr , ' '); do
        host=$(host_of "$site")
        # Names in other scripts are resolved in the containers, which convert them to punycode.
        case $host in localhost | *[!A-Za-z0-9.-]* | *[0-9].[0-9]*) continue ;; esac
        if addresses=$(getent ahosts "$host") && [ -n "$addresses" ]; then
            fine "$host is $(echo "$addresses" | cut -d ' ' -f 1 | sort -u | paste -sd ' ' -)"
        else
            broken "$host in SITE_URL has no address" 'Browsers do not find the site, and no certificate is issued for it.' \
                "add a DNS record for $host with the address of this machine, or correct SITE_URL in .env."
        fi
    done
}

# --- The machine ---

check_cpus() {
    local cpus names name wanted
    cpus=$(docker info --format '{{.NCPU}}')
    [ -n "$cpus" ] || return 0
    names=$(grep -oE '\$\{[A-Z_]+_CPUS' docker-compose.yml | cut -c 3- | sort -u)
    # shellcheck disable=SC2086
    while read -r name wanted; do
        awk "BEGIN { exit !(${wanted:-0} <= $cpus) }" ||
            { broken "$name=$wanted is more than the $cpus of this machine" 'Docker refuses to create the container.' "$name=$cpus in .env"; return; }
    done < <(paste -d ' ' <(echo "$names") <(docker/read_env $names))
    fine "$cpus"
}

# limits [MODE]: the total memory limits in MB of what runs all the time, and during a release, when the servers run twice.
limits() {
    local site
    { read -r site; read -r SLOT; } < <(docker/read_env SITE_URL SLOT)
    export SLOT SERVER_MODE="${1:-$(docker/read_env SERVER_MODE)}"
    COMPOSE_PROFILES=$(docker/read_env COMPOSE_PROFILES)
    # A release starts the certificates service by name.
    case $site in https://*) COMPOSE_PROFILES=$COMPOSE_PROFILES,https ;; esac
    export COMPOSE_PROFILES
    docker compose config 2>/dev/null | awk '
        function add() {
            if (service == "" || once) return
            always += memory * copies
            released += memory * copies * (service ~ /-(blue|green)$/ ? 2 : 1)
        }
        /^[^ ]/ { add(); service = ""; inside = $1 == "services:" }
        inside && /^  [^ ]/ { add(); service = $1; sub(/:$/, "", service); memory = once = 0; copies = 1 }
        /^    mem_limit:/ { gsub(/"/, "", $2); memory = $2 / 1048576 }
        /^    scale:/ { copies = $2 }
        /^    restart: "no"/ { once = 1 }
        END { add(); print int(always), int(released) }'
}

# check_memory [MODE]: do all containers fit at their limits?
check_memory() {
    local there always released free
    local fix='docker/configure MEMORY=1g or MEMORY=2g, whichever is below that, lower WEB_MEMORY in .env, or use a larger machine.'
    there=$(docker info --format '{{.MemTotal}}')
    [ -n "$there" ] || return 0
    there=$((there / 1048576))
    read -r always released < <(limits "${1-}")
    free=$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo 2>/dev/null || true)
    if [ "$always" -gt "$there" ]; then
        broken "This machine has $there MB of memory, and the containers may use $always" \
            'When they do, the kernel kills one of them, perhaps PostgreSQL.' "$fix"
    elif [ "${free:-1024}" -lt 256 ]; then
        warn "$free MB of memory are free" 'A release starts a second set of servers, and the kernel may kill one.' \
            'find the container that uses it (docker stats --no-stream), or add memory.'
    elif [ "$released" -gt "$there" ]; then
        warn "This machine has $there MB of memory, and during a release the containers may use $released" \
            'If they do, the kernel kills one of them, perhaps PostgreSQL.' "$fix"
    else
        fine "$there MB, of which the containers may take $released at a release"
    fi
}

# The disk of images, the database and backups.
check_disk() {
    local folder free
    folder=$(docker info --format '{{.DockerRootDir}}')
    # Docker Desktop's folder is inside its virtual machine.
    [ -d "$folder" ] || folder=.
    free=$(df -Pk "$folder" | awk 'NR == 2 { print int($4 / 1024) }')
    set -- "$free MB are free on the disk of $folder" 'docker image prune --all --filter until=168h, and see docker system df --verbose'
    if [ "$free" -lt 512 ]; then
        broken "$1" 'PostgreSQL stops writing when it is full, and there are no more backups.' "$2"
    elif [ "$free" -lt 3072 ]; then
        warn "$1" 'An image and a backup before a release may need more.' "$2"
    else
        fine "$((free / 1024)) GB are free"
    fi
}

# Converts Docker's format of a time to seconds since 1970.
epoch() {
    local time=${1%%.*}
    time=${time%Z}
    date -u -d "${time/T/ }" +%s 2>/dev/null || date -u -j -f %Y-%m-%dT%H:%M:%S "$time" +%s 2>/dev/null || date +%s
}

# Is the clock later than the last commit, and in step with Docker's, which differs on a desktop?
check_clock() {
    local now committed theirs apart
    local why='Certificates are refused, sessions end too early or too late, and backups are sorted wrongly.'
    now=$(date +%s)
    committed=$(git log -1 --format=%ct 2>/dev/null) || committed=
    theirs=$(epoch "$(docker info --format '{{.SystemTime}}')")
    apart=$((theirs > now ? theirs - now : now - theirs))
    if [ "${committed:-0}" -gt $((now + 3600)) ]; then
        broken "The clock says $(date '+%F %T'), which is before the last commit of this checkout" "$why" 'sudo timedatectl set-ntp true'
    elif [ "$apart" -gt 60 ]; then
        broken "Docker's clock and this machine's are $apart s apart" "$why" \
            'restart Docker Desktop, or on the machine of the engine: sudo timedatectl set-ntp true'
    elif [ "$(timedatectl show --property NTPSynchronized --value 2>/dev/null || true)" = no ]; then
        warn 'The clock is not synchronized' 'A clock that drifts breaks sessions, certificates and the times in logs.' 'sudo timedatectl set-ntp true'
    else
        fine "$(date -u '+%F %T') UTC"
    fi
}
