# Applies a release or a rollback to the cluster, and reverts it if it fails. deploy/kubernetes/stack includes it.
# shellcheck shell=bash disable=SC2154

# --- Progress ---

step=
begin() {
    finish
    step=$1 step_began=$SECONDS
    printf '%-10s %-58s ' "$step" "$2"
}

finish() {
    [ -z "$step" ] || echo "$((SECONDS - step_began)) s"
    step=
}

# --- Current state ---

recorded() { k get configmap release --output "go-template={{with .data}}{{with index . \"$1\"}}{{.}}{{end}}{{end}}" 2>/dev/null || true; }

# container_image DEPLOYMENT LIST CONTAINER
container_image() { k get deployment "$1" --output "go-template={{range .spec.template.spec.$2}}{{if eq .name \"$3\"}}{{.image}}{{end}}{{end}}" 2>/dev/null || true; }

# look: writes the record to files, and finds the running versions.
look() {
    rm -rf "$work/release"
    mkdir -p "$work/release"
    recorded current >"$work/release/current"
    recorded previous >"$work/release/previous"
    running=$(container_image web containers project)
    running_before=$(container_image nginx initContainers before)
}

# newest DEPLOYMENT: a pod of its latest version.
newest() {
    k get pods --selector "$component=$1,app.kubernetes.io/name=$project" --sort-by .metadata.creationTimestamp \
        --output 'go-template={{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}}{{"\n"}}{{end}}{{end}}' | tail -n 1
}

# explain COMPONENT: what its pods wait for, and the newest one's last log lines.
explain() {
    k get pods --selector "$component=$1" --output 'go-template={{range .items}}{{$pod := .metadata.name}}{{range .status.initContainerStatuses}}{{with .state.waiting}}{{$pod}}: {{.reason}} {{.message}}{{"\n"}}{{end}}{{end}}{{range .status.containerStatuses}}{{with .state.waiting}}{{$pod}}: {{.reason}} {{.message}}{{"\n"}}{{end}}{{end}}{{end}}' || true
    k logs "$(newest "$1")" --all-containers --tail 20 2>/dev/null || true
} >&2

# --- Applying ---

migrations=
changed=
served=

# apply COMPONENTS: applies these from $file. $before is the other image whose static files Nginx serves.
apply() { sed "s|image: project-before\$|image: $before|" "$file" | quietly k apply --filename - --selector "$component $1"; }

has_live() { grep -q "^    $component: live\$" "$file"; }

# await DEPLOYMENT…: waits until they are ready. Kubernetes gives up READY_WITHIN after the last progress.
await() {
    local name
    for name; do quietly k rollout status "deployment/$name" --timeout 1800s || { explain "$name" && return 1; }; done
}

# Polls the Job, because it may never start.
migrate() {
    local state give_up=$((SECONDS + READY_WITHIN))
    quietly k delete job migrate --ignore-not-found && apply '= migrate' || return 1
    while true; do
        state=$(k get job migrate --output 'go-template={{range .status.conditions}}{{if eq .status "True"}}{{.type}} {{end}}{{end}}') || return 1
        case $state in
            *Complete*) return ;;
            *Failed*) explain migrate && return 1 ;;
        esac
        if [ "$SECONDS" -ge "$give_up" ] && [ -z "$(k get pods --selector "$component=migrate" --output 'go-template={{range .items}}{{range .status.containerStatuses}}{{if not .state.waiting}}begun{{end}}{{end}}{{end}}')" ]; then
            explain migrate
            echo "The Job migrate did not begin within READY_WITHIN=$READY_WITHIN s." >&2
            return 1
        fi
        sleep 1
    done
}

# bring IMAGE: applies $file, which is for that image. Static files arrive before pages that name them, and a server for /live/ runs
# as long as Nginx sends requests there.
bring() {
    changed=1
    begin settings "configuration, secrets, network"
    if [ -n "$migrations" ]; then
        quietly k apply --filename "$work/secrets.yaml" || return 1
    fi
    apply 'notin (migrate,live,nginx,web,worker)' || return 1
    if [ -n "$migrations" ]; then
        begin migrate "the database, if the running version can work with it"
        migrate || return 1
    fi
    if has_live; then
        begin live "until it is ready"
        apply '= live' && await live || return 1
    elif [ -n "$1" ] && k get deployment live >/dev/null 2>&1; then
        begin files "Nginx gets the static files, and stays in hybrid mode"
        quietly k set image deployment/nginx "before=$1" && await nginx || return 1
        serve_web || return 1
    fi
    begin nginx "its configuration and the static files, until it is ready"
    apply '= nginx' && await nginx || return 1
    serve_web || return 1
    has_live || quietly k delete deployments,services,poddisruptionbudgets --selector "$component=live"
}

serve_web() {
    begin web "and worker, until they are ready"
    apply 'in (web,worker)' && await web worker || return 1
    served=1
}

# DNS may keep the old addresses for 30 s.
smoke() {
    local said
    for _ in 1 2 3 4 5; do
        ! said=$(k exec "$(newest web)" --container project -- python manage.py smoke nginx 2>&1) || return 0
        sleep 5
    done
    printf '\n%s\n' "$said" >&2
    return 1
}

# --- On a failure ---

# shellcheck disable=SC2317
undo() {
    local status=$? failed=$step
    trap leave EXIT
    trap - INT TERM
    [ "$status" -ne 0 ] || exit 0
    step=
    [ -s "$work/release/current" ] || stop "$project is not up: the step '$failed' failed, and the reason is above."
    if [ -n "$changed" ]; then
        # If more than the failed version's first pod became ready, visitors have pages of it open.
        [ "$(container_image web containers project)" != "$image" ] ||
            [ "$(k get deployment web --output 'go-template={{or .status.updatedReplicas 0}}')" -le 1 ] || served=1
        before=$running_before
        [ -z "$served" ] || before=$image
        file=$work/release/current migrations=
        bring '' >/dev/null ||
            stop "Not done: the step '$failed' failed, and going back failed as well. make doctor says why; the next make release or make rollback goes on from there."
    fi
    stop "Not done: the step '$failed' failed, and the reason is above. The old version keeps serving."
}

# keep: records $file as current, and the release before as the target of a rollback. Keeps the settings and secrets of both.
keep() {
    local name kept=$work/kept
    rm -rf "$kept"
    mkdir -p "$kept"
    [ ! -s "$work/release/current" ] || cp "$work/release/current" "$kept/previous"
    cp "$file" "$kept/current"
    k create configmap release --from-file "$kept" --dry-run=client --output yaml | quietly k apply --filename -
    k get configmaps,secrets --selector "$component=settings,app.kubernetes.io/name=$project" --output name | while read -r name; do
        cat "$kept"/* | grep -qE "[nN]ame: ${name#*/}\$" || quietly k delete "$name"
    done
}
