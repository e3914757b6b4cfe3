# Builds a release's manifests from an overlay and site/, with the image, .env and secrets/. deploy/kubernetes/stack includes it.
# shellcheck shell=bash disable=SC2154

# A digest is used unchanged, without Docker; otherwise the image is looked up, or built and pushed.
find_image() {
    case $TAG in
        sha256:*) image=$IMAGE@$TAG ;;
        *) image=$(docker/image) ;;
    esac
}

# replace KIND NAME PATH VALUE [PATH VALUE]: prints a JSON patch.
replace() {
    printf '  - target: {kind: %s, name: %s}\n    patch: |\n' "$1" "$2"
    shift 2
    while [ $# -gt 0 ]; do
        printf '      - {"op": "add", "path": "%s", "value": %s}\n' "$1" "$2"
        shift 2
    done
}

# limits KIND NAME MEMORY CPUS: the limits in .env. Docker's 768m is 768Mi here.
limits() {
    local memory requested path=/spec/template/spec/containers/0/resources
    memory=$(echo "$3" | sed 's/[bB]$//; s/[kK]$/Ki/; s/[mM]$/Mi/; s/[gG]$/Gi/')
    # The node reserves this much for the pod.
    requested=$(echo "$4" | awk '{ print ($1 < 0.25 ? $1 * 1000 : 250) "m" }')
    replace "$1" "$2" "$path/limits" "{\"cpu\": \"$4\", \"memory\": \"$memory\"}" \
        "$path/requests" "{\"cpu\": \"$requested\", \"memory\": \"$memory\"}"
}

# The names of the variables that the servers get: the stack's and your own.
given() { sed -n 's/^\([A-Z0-9_]*\)=.*/\1/p' "$here/base/settings.env" | cat - .env.names | grep -vx SERVER_MODE | sort -u; }

# render: writes $file for $image in $mode, and its Secrets to another file. The previous image stays a placeholder (see apply).
render() {
    rm -rf "$work/overlay"
    mkdir -p "$work/overlay"
    # shellcheck disable=SC2046
    docker/read_env $(given) | paste -d = <(given) - | grep -v '=$' >"$work/overlay/settings.env"
    {
        cat <<KUSTOMIZATION
kind: Kustomization
namespace: $namespace
resources: [../../../$here/overlays/$mode]
components: [../../../$here/site]
labels:
  - {pairs: {app.kubernetes.io/name: $project}, includeSelectors: true, includeTemplates: true}
images:
  - {name: project, newName: "${image%@*}", digest: "${image#*@}"}
generatorOptions:
  labels: {$component: settings}
configMapGenerator:
  - {name: settings, behavior: merge, envs: [settings.env]}
secretGenerator:
  - name: secrets
    files: [../../../secrets/secret_key, ../../../secrets/database_url, ../../../secrets/redis_url]
  - name: secrets-app
    files:
$(find secrets/app -type f ! -name '.*' | sort | sed 's|^|      - ../../../|')
patches:
KUSTOMIZATION
        limits 'Deployment|Job' 'web|live|migrate' "$WEB_MEMORY" "$WEB_CPUS"
        limits Deployment worker "$WORKER_MEMORY" "$WORKER_CPUS"
        limits Deployment nginx "$NGINX_MEMORY" "$NGINX_CPUS"
        replace Deployment '.*' /spec/progressDeadlineSeconds "$READY_WITHIN"
        replace Deployment worker /spec/replicas "$WORKER_PROCESSES"
        replace Deployment live /spec/replicas "$WEB_REPLICAS"
        if grep -q '^[^#]*autoscale' "$here/site/kustomization.yaml"; then
            replace HorizontalPodAutoscaler web /spec/maxReplicas "$WEB_REPLICAS"
        else
            replace Deployment web /spec/replicas "$WEB_REPLICAS"
        fi
        [ -z "${ALLOW_UNSAFE:-}" ] ||
            replace Job migrate /spec/template/spec/containers/0/env/- '{"name": "ALLOW_UNSAFE", "value": "1"}'
    } >"$work/overlay/kustomization.yaml"
    kubectl kustomize --load-restrictor LoadRestrictionsNone "$work/overlay" >"$work/all.yaml"
    # The record in the cluster must hold no secret.
    awk -v mode="$mode" -v image="$image" -v secrets="$work/secrets.yaml" -v rest="$file" '
        function put() { printf "%s---\n", part > (part ~ /\nkind: Secret\n/ ? secrets : rest); part = "" }
        /^---$/ { put(); next }
        { part = part $0 "\n" }
        BEGIN { printf "# %s %s\n", mode, image > rest }
        END { put() }' "$work/all.yaml"
    rm "$work/all.yaml"
}

# From the first line of such a file.
mode_of() { sed -n '1s/^# \([a-z]*\) .*/\1/p' "$1"; }
image_of() { sed -n '1s/.* //p' "$1"; }
