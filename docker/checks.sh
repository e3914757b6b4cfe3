# What can be known of this machine and of .env before a start. docker/preflight stops at the first that is broken,
# docker/doctor goes through all of them.
# Who includes it says what `fine WHAT`, `warn WHAT WHY MEND` and `broken WHAT WHY MEND` do. A check fails when what comes
# after it makes no sense.
# shellcheck shell=bash

# --- Docker ---

check_engine() {
    local answer
    command -v docker >/dev/null || {
        broken 'Docker is not installed' 'The stack runs in containers.' \
            'see https://docs.docker.com/engine/install/, or run the project without it (make run-wsgi).'
        return 1
    }
    answer=$(docker info --format '{{.ServerVersion}}' 2>&1) || {
        case $answer in
            *'permission denied'*) broken "$(id -un) may not use Docker" 'Every command of the stack asks it.' \
                "join the group (sudo usermod -aG docker $(id -un)), sign out and in again, or use sudo." ;;
            *) broken 'The Docker Engine does not answer' 'Nothing runs without it.' \
                'start it (sudo systemctl start docker, or Docker Desktop).' ;;
        esac
        return 1
    }
    fine "Docker $answer"
}

check_compose() {
    local version rest major minor
    version=$(docker compose version --short 2>/dev/null) || {
        broken 'Docker Compose is not installed' 'The stack is described for it.' \
            'install the plugin, 2.24 or newer (https://docs.docker.com/compose/install/).'
        return 1
    }
    rest=${version#v} major=${rest%%.*} rest=${rest#*.} minor=${rest%%[!0-9]*}
    if [ "$major" -lt 2 ] || { [ "$major" -eq 2 ] && [ "$minor" -lt 24 ]; }; then
        broken "Docker Compose $version is too old" 'It does not understand docker-compose.yml.' \
            'update it to 2.24 or newer (https://docs.docker.com/compose/install/).'
        return 1
    fi
    fine "Compose $version"
}

# --- .env and secrets/ ---

secret() { cat "secrets/$1" 2>/dev/null || true; }

# password_for SERVICE ADDRESS: the one in that secret, if it is an address of this service.
password_for() { secret "$2" | sed -n "s|.*://[^:/]*:\([^@]*\)@$1[:/].*|\1|p"; }

# Is the database, or Redis, the one of this stack?
is_ours() { [ -n "$(password_for "$1" "$2")" ]; }

check_owner() {
    local path
    for path in .env secrets; do
        if [ -e "$path" ] && [ ! -r "$path" ]; then
            broken "$path cannot be read by $(id -un)" 'The settings of the stack are there.' 'run this as its owner.'
            return 1
        fi
    done
    if [ -e .env ]; then fine 'it can be read'; else fine 'there is none yet: make up-wsgi, make up-asgi and make up-hybrid make it'; fi
}

check_env_file() {
    local project
    project=$(docker/read_env COMPOSE_PROJECT_NAME)
    if [ ! -w . ]; then
        broken "$(pwd) cannot be written by $(id -un), so .env cannot be made there" 'The settings of the stack are in it.' \
            'clone into a folder of your own.'
        return 1
    fi
    # In .env it was once, and docker/configure moves it.
    if [ ! -s secrets/postgres_password ] && ! grep -qs '^POSTGRES_PASSWORD=.' .env &&
        docker volume inspect "${project}_postgres" >/dev/null 2>&1; then
        broken "The volume ${project}_postgres holds a database whose password was in secrets/postgres_password, which is gone" \
            'The one that would be made now is another, which that database does not know.' \
            'put that file back, set another COMPOSE_PROJECT_NAME, or remove the volume and its data (docker volume rm).'
        return 1
    fi
    fine "the folder can be written, and no database has lost its password"
}

check_secret_files() {
    local file
    while read -r file; do
        if [ ! -f "$file" ]; then
            broken "$file is missing" 'No container starts without it.' \
                'put it back, or let make up-wsgi, make up-asgi or make up-hybrid make what is not there.'
            return 1
        fi
    done < <(sed -n 's|.*{file: \./\(secrets/.*\)}$|\1|p' docker-compose.yml)
    fine 'all are there'
}

# Is .env understood as it was meant, and every name in it one that somebody reads?
check_variables() {
    local name said unread=''
    said=$(docker compose config --quiet 2>&1) || {
        broken "Compose does not understand the files: $(echo "$said" | tail -n 1)" 'Nothing starts.' 'correct what it names.'
        return 1
    }
    case $said in
        *'variable is not set'*)
            name=$(echo "$said" | sed -n 's/.*The \\*"\([^"\\]*\)\\*" variable is not set.*/\1/p' | head -n 1)
            broken "Compose takes \$$name, somewhere in .env, for a variable" 'The containers get another value than the one that is written there.' \
                "put the value that has it in single quotes."
            return 1 ;;
    esac
    for name in $(sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p' .env | sort -u); do
        grep -rqwF -e "$name" .env.example docker-compose*.yml docker wisheasy/settings.py 2>/dev/null || unread="$unread $name"
    done
    if [ -n "$unread" ]; then
        warn "Nobody reads$unread of .env" 'A name that is misspelt changes nothing, without a word.' \
            'correct the name (.env.example has all of them), or remove the line.'
    else
        fine 'every variable of .env is known'
    fi
}

check_secrets() {
    local key weak='' service address
    key=$(secret secret_key)
    case $key in
        *insecure* | *changeme* | *change-me* | *secret*key*) weak='looks like an example' ;;
        *) if [ ${#key} -lt 50 ]; then weak="has ${#key} characters, and needs 50"
           elif [ "$(printf %s "$key" | fold -w 1 | sort -u | wc -l)" -lt 5 ]; then weak='repeats a few characters'; fi ;;
    esac
    [ -z "$weak" ] || broken "The key in secrets/secret_key $weak" 'Who guesses it can sign in as anybody.' \
        "od -An -v -tx1 -N32 /dev/urandom | tr -d ' \\n' >secrets/secret_key, then make release"
    for service in postgres redis; do
        if [ $service = postgres ]; then address=database_url; else address=redis_url; fi
        is_ours $service $address || continue
        if [ "$(password_for $service $address)" != "$(secret "${service}_password")" ]; then
            weak=1
            broken "The password in secrets/$address is not that of secrets/${service}_password" 'The servers are refused with it.' \
                "make them one, then docker compose restart $service (PostgreSQL keeps to the one that it was made with) and make release"
        elif [ "$(secret "${service}_password" | tr -d '\n' | wc -c)" -lt 16 ]; then
            weak=1
            warn "The password in secrets/${service}_password has fewer than 16 characters" 'Whoever gets into the network of the containers can try many.' \
                "choose a longer one, in secrets/$address too; PostgreSQL keeps to the one that it was made with (ALTER ROLE)"
        fi
    done
    [ -n "$weak" ] || fine 'long enough, and none is an example'
}

check_permissions() {
    local closed
    if [ -n "$(git ls-files secrets 2>/dev/null)" ]; then
        broken 'secrets/ is in Git' 'Whoever gets the repository gets the secrets.' \
            'git rm -r --cached secrets, commit, and give every secret another value.'
        return
    fi
    # The containers' own users read the files; it is the folder that keeps others out.
    closed=$(find secrets -type f ! -perm -004 | head -n 1)
    if [ -n "$closed" ]; then
        broken "$closed cannot be read by the users of the containers" 'They do not start.' 'chmod 644 secrets/*'
        return 1
    elif [ -n "$(find secrets -maxdepth 0 \( -perm -001 -o -perm -010 \))" ]; then
        warn 'Other users of this machine can enter secrets/' 'What is in it can sign in as anybody.' 'chmod 700 secrets'
    else
        fine 'nobody else can enter secrets/'
    fi
}

# --- Mode ---

check_mode() {
    if [ -z "$1" ] || [ ! -f "nginx/upstreams/$1.conf" ]; then
        broken "'$1' is no mode" 'SERVER_MODE decides which servers answer.' \
            "say one of$(for file in nginx/upstreams/*.conf; do printf ' %s' "$(basename "$file" .conf)"; done)."
        return 1
    fi
    fine "$1"
}

# --- Address and ports ---

# The host of an address.
host_of() {
    local rest=${1#*://}
    case $rest in \[*) echo "${rest%%]*}]" ;; *) echo "${rest%%:*}" ;; esac
}

check_address() {
    local sites site port
    sites=$(docker/read_env SITE_URL)
    [ -n "$sites" ] || { fine "SITE_URL follows HTTP_PORT: http://localhost:$(docker/read_env HTTP_PORT)"; return; }
    for site in ${sites//,/ }; do
        case $site in
            http://*/* | https://*/* | *@*) ;;
            http://?* | https://?*) continue ;;
        esac
        broken "SITE_URL='$site' is wrong" 'Allowed hosts, cookies, the origins of forms and the certificate follow from it.' \
            'expected an address without a path, such as https://www.example.com or http://localhost:8080, in .env.'
        return 1
    done
    site=${sites%%,*}
    case $(host_of "$site"),$site in
        localhost,http:* | 127.0.0.1,http:* | '[::1]',http:*)
            port=${site##*:}
            case $port in *[!0-9]*) port=80 ;; esac
            if [ "$port" != "$(docker/read_env HTTP_PORT)" ]; then
                broken "SITE_URL=$site, but Nginx is published on port $(docker/read_env HTTP_PORT)" \
                    'Browsers send forms and open WebSockets from an address that the servers do not take for theirs.' \
                    "SITE_URL=http://$(host_of "$site"):$(docker/read_env HTTP_PORT) in .env, or another HTTP_PORT."
                return 1
            fi ;;
    esac
    if [ "${site%%:*}" = https ] && [ "$(docker/read_env ACME_DIRECTORY)" = off ] && [ -z "$(docker/read_env TRUSTED_PROXIES)" ]; then
        warn 'SITE_URL is https, ACME_DIRECTORY=off, and TRUSTED_PROXIES names nobody' \
            'If a proxy in front holds the certificate and speaks http with this machine, each page redirects to itself for ever.' \
            'TRUSTED_PROXIES=its network, in .env'
        return
    fi
    fine "$sites"
}

# Takes the name of a variable, and an example.
check_port() {
    local port
    port=$(docker/read_env "$1")
    # There need not be one for https.
    [ "$1" = HTTP_PORT ] || [ -n "$port" ] || return 0
    case $port in '' | *[!0-9]*)
        broken "$1='$port' is wrong" 'Nginx is published on it.' "expected a port number such as $2."
        return 1 ;;
    esac
    [ -z "$(docker ps --quiet --filter "publish=$port" --filter "label=com.docker.compose.project=$(docker/read_env COMPOSE_PROJECT_NAME)")" ] ||
        { fine "$port is Nginx's"; return; }
    # A connection that is accepted means that somebody listens.
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
        broken "Port $port is taken by another program" 'Nginx is to be published on it.' \
            "stop it, or choose another port ($1=$(($2 + 1)) in .env)."
        return 1
    fi
    fine "$port is free"
}

check_dns() {
    local site host addresses
    command -v getent >/dev/null || return 0
    for site in $(docker/read_env SITE_URL | tr , ' '); do
        host=$(host_of "$site")
        case $host in localhost | \[* | *[0-9].[0-9]*) continue ;; esac
        addresses=$(getent ahosts "$host" | awk '!seen[$1]++ { printf "%s%s", separator, $1; separator = ", " }') || addresses=
        if [ -n "$addresses" ]; then
            fine "$host is $addresses"
        else
            broken "The name $host of SITE_URL has no address" 'Nobody finds the site, and no certificate is issued for it.' \
                "have the name server give $host the address of this machine, or correct SITE_URL in .env."
        fi
    done
}

# --- The machine ---

in_mb() {
    case $1 in
        *[gG] | *[gG]b) echo "$1" | awk '{ print int($1 * 1024) }' ;;
        *[mM] | *[mM]b) echo "$1" | awk '{ print int($1) }' ;;
        *[kK] | *[kK]b) echo "$1" | awk '{ print int($1 / 1024) }' ;;
        *) echo "$1" | awk '{ print int($1 / 1048576) }' ;;
    esac
}

check_cpus() {
    local cpus name wanted
    cpus=$(docker info --format '{{.NCPU}}')
    [ -n "$cpus" ] || return 0
    for name in $(grep -oE '\$\{[A-Z_]+_CPUS' docker-compose.yml | cut -c 3- | sort -u); do
        wanted=$(docker/read_env "$name")
        if awk "BEGIN { exit !(${wanted:-0} > $cpus) }"; then
            broken "$name=$wanted is more than the $cpus that there are" 'Docker refuses to make the container.' "$name=$cpus in .env"
            return
        fi
    done
    fine "$cpus"
}

# All containers at their limits, at a release, when two versions run beside each other.
check_memory() {
    local there name wanted=0 servers=2 free
    there=$(docker info --format '{{.MemTotal}}')
    [ -n "$there" ] || return 0
    there=$(in_mb "$there")
    [ "$(docker/read_env SERVER_MODE)" != hybrid ] || servers=4
    wanted=$((servers * $(in_mb "$(docker/read_env WEB_MEMORY)")))
    for name in NGINX_MEMORY WAITING_ROOM_MEMORY POSTGRES_MEMORY REDIS_MEMORY BACKUP_MEMORY; do
        wanted=$((wanted + $(in_mb "$(docker/read_env "$name")")))
    done
    free=$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo 2>/dev/null || true)
    if [ "${free:-1024}" -lt 256 ]; then
        warn "$free MB of memory are free" 'A release starts a second set of servers, and the kernel may end one of them.' \
            'see who takes it (docker stats --no-stream), or give the machine more.'
    elif [ "$wanted" -gt "$there" ]; then
        warn "At a release the containers may take $wanted MB, and there are $there" \
            'If they do, the kernel ends one of them, and it may be PostgreSQL.' 'lower WEB_MEMORY in .env, or give the machine more.'
    else
        fine "$there MB, of which the containers may take $wanted at a release"
    fi
}

# Where images, the database and the backups lie.
check_disk() {
    local folder free
    folder=$(docker info --format '{{.DockerRootDir}}')
    # Docker Desktop's is in its own machine.
    [ -d "$folder" ] || folder=.
    free=$(df -Pk "$folder" | awk 'NR == 2 { print int($4 / 1024) }')
    if [ "$free" -lt 512 ]; then
        broken "$free MB are free on the disk of $folder" 'PostgreSQL stops writing when it is full, and there are no more backups.' \
            'docker image prune --all --filter until=168h, and see docker system df --verbose'
    elif [ "$free" -lt 3072 ]; then
        warn "$free MB are free on the disk of $folder" 'An image and a backup before a release may need more.' \
            'docker image prune --all --filter until=168h, and see docker system df --verbose'
    else
        fine "$((free / 1024)) GB are free"
    fi
}

# Not before the last commit, and the same as Docker's, which has a clock of its own on a desktop.
check_clock() {
    local now committed theirs apart synchronised
    now=$(date +%s)
    committed=$(git log -1 --format=%ct 2>/dev/null) || committed=
    if [ -n "$committed" ] && [ "$committed" -gt $((now + 3600)) ]; then
        broken "The clock says $(date '+%F %T'), which is before the last commit of this checkout" \
            'Certificates are refused, sessions end too early or too late, and the newest backup is not known.' \
            'sudo timedatectl set-ntp true'
        return
    fi
    theirs=$(docker info --format '{{.SystemTime}}')
    theirs=${theirs%%.*} theirs=${theirs%Z}
    theirs=$(date -u -d "${theirs/T/ }" +%s 2>/dev/null || date -u -j -f %Y-%m-%dT%H:%M:%S "$theirs" +%s 2>/dev/null || echo "$now")
    apart=$((theirs > now ? theirs - now : now - theirs))
    if [ "$apart" -gt 60 ]; then
        broken "Docker's clock and this machine's are $apart s apart" \
            'Certificates are refused, sessions end too early or too late, and the newest backup is not known.' \
            'restart Docker Desktop, or on the machine of the engine: sudo timedatectl set-ntp true'
        return
    fi
    synchronised=$(timedatectl show --property NTPSynchronized --value 2>/dev/null || true)
    if [ "$synchronised" = no ]; then
        warn 'Nothing keeps the clock right' 'A clock that drifts makes sessions, certificates and the times of logs wrong.' \
            'sudo timedatectl set-ntp true'
        return
    fi
    fine "$(date -u '+%F %T') UTC"
}
