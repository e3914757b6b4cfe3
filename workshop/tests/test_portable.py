"""What a Mac cannot run is found in the scripts, and what it can is not."""

import pytest

from workshop import portable

FOREIGN = {
    "bash": r"""
        mapfile -t lines <file
        declare -A table
        local -n name=$1
        echo ${name,,}
        echo ${name^}
        a |& b
        a &>>log
        wait -n
        if [[ -v name ]]; then
        printf '%(%F)T'
        exec {lock}>file
        read -t 0.5 -r line
        echo $EPOCHREALTIME
        echo ${name:0:-1}
        echo -n x
    """,
    "tools": r"""
        sed -i s/a/b/ file
        sed --in-place=.old s/a/b/ file
        sed 's/a\+/b/'
        grep '\bword'
        grep -oP 'a(?=b)'
        date -d yesterday
        date +%s.%N
        stat -c %Y file
        readlink -f file
        echo a | xargs -r rm
        mv -T a b
        ln -sfT a b
        head -n -1
        tail --pid 1 -f log
        sort -V
        mktemp -p /tmp
        find . -printf %p
        tee -p log
        rm --force file
        flock 9
        x=$(nproc)
        cp --archive a b
    """,
    "make": r"""
        .ONESHELL:
        NAME != date
        NAME ::= x
        undefine NAME
        x := $(file <name)
    """,
}
FAMILIAR = {
    "bash": r"""
        exec 9>&1
        local name=$1
        declare -r x
        echo ${name//,/ } ${name%%,*} ${name:-1} ${name:0:12}
        a 2>&1 | b
        a & wait
        echo ${EPOCHREALTIME:-$(date +%s)}
        case x in a) b ;; esac
        read -r -t 2 -u 8
    """,
    "tools": r"""
        sed -i.old s/a/b/ file
        sed -n 's/\(a\)*/\1/p'
        grep -qvxE 'a|b'
        date +%s
        docker rm --force x
        git rm --cached x
        docker compose run --rm x
        head -n 1
        tail -n +2
        mktemp -d
        ln -sfn a b
        mv a b | docker run --x
    """,
    "make": r"""
        NAME := x
        all: a b
        -include *.mk
        define NAME
    """,
}
RULES = {"bash": portable.BASH, "tools": portable.TOOLS, "make": portable.MAKE}


def each(lines):
    return [
        pytest.param(RULES[kind], line, id=line)
        for kind in lines
        for line in map(str.strip, lines[kind].strip().splitlines())
    ]


@pytest.mark.parametrize(("rules", "line"), each(FOREIGN))
def test_what_a_mac_cannot_run_is_found(rules, line):
    assert list(portable.findings(line, rules))


@pytest.mark.parametrize(("rules", "line"), each(FAMILIAR))
def test_what_a_mac_runs_is_let_through(rules, line):
    assert list(portable.findings(line, rules)) == []


def test_the_scripts_of_this_machine_are_looked_at_and_those_of_containers_are_not():
    names = {name for name, _, _ in portable.scripts()}
    assert {"docker/release", "docker/slots.sh", "docker/checks.sh", "bin/lint", "Makefile"} <= names
    assert names.isdisjoint({"docker/backup", "docker/serve_nginx", "docker/bootstrap"})
    assert not portable.main()
