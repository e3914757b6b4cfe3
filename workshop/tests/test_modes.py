import pytest

from kit.serving import cgroup, modes, timeouts

GIB = 1024**3
POSTGRESQL = {"ENGINE": "django.db.backends.postgresql", "NAME": "wisheasy"}
SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}


@pytest.fixture
def machine(monkeypatch):
    def give(cpus, memory):
        monkeypatch.setattr(cgroup, "cpus", lambda: cpus)
        monkeypatch.setattr(cgroup, "memory", lambda: memory)

    return give


def cgroup_files(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({"cpu.max": "50000 100000"}, 0.5, id="v2-quota"),
        pytest.param({"cpu.max": "150000 100000"}, 1.5, id="v2-quota-over-one"),
        pytest.param({"cpu.max": "max 100000"}, 64, id="v2-no-quota"),
        pytest.param({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 0.5, id="v1-quota"),
        pytest.param({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 64, id="v1-no-quota"),
        pytest.param({"cpu.max": "9900000 100000"}, 64, id="more-than-there-are"),
        pytest.param({}, 64, id="no-cgroup"),
    ],
)
def test_cpus_are_those_the_container_may_use(tmp_path, monkeypatch, files, expected):
    monkeypatch.setattr(cgroup.os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    assert cgroup.cpus(cgroup_files(tmp_path, files)) == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({"memory.max": str(GIB)}, GIB, id="v2-limit"),
        pytest.param({"memory.max": "max"}, 8 * GIB, id="v2-no-limit"),
        pytest.param({"memory/memory.limit_in_bytes": str(GIB)}, GIB, id="v1-limit"),
        pytest.param({"memory/memory.limit_in_bytes": "9223372036854771712"}, 8 * GIB, id="v1-no-limit"),
        pytest.param({}, 8 * GIB, id="no-cgroup"),
    ],
)
def test_memory_is_what_the_container_may_use(tmp_path, monkeypatch, files, expected):
    monkeypatch.setattr(cgroup.os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 8 * GIB // 4096}.get)
    assert cgroup.memory(cgroup_files(tmp_path, files)) == expected


@pytest.mark.parametrize("name", modes.MODES)
def test_each_mode_has_a_server_behind_both_upstreams(name):
    for upstream in modes.ROLES:
        assert isinstance(getattr(modes.MODES[name], upstream), modes.Server)


def test_workers_follow_the_cpus(machine):
    machine(cpus=4, memory=64 * GIB)
    assert (modes.WSGI.workers(shared_layer=True), modes.ASGI.workers(shared_layer=True)) == (8, 4)


def test_half_a_cpu_still_gets_a_worker(machine):
    machine(cpus=0.5, memory=64 * GIB)
    assert modes.ASGI.workers(shared_layer=True) == 1


def test_memory_bounds_the_workers(machine):
    machine(cpus=64, memory=4 * modes.WORKER_MEMORY)
    assert modes.WSGI.workers(shared_layer=True) == 4


def test_without_a_shared_channel_layer_there_is_one_worker(machine):
    machine(cpus=64, memory=64 * GIB)
    assert modes.ASGI.workers(shared_layer=False) == 1


def test_one_thread_makes_the_worker_a_sync_one():
    from dataclasses import replace

    assert modes.WSGI.gunicorn_worker_class == "kit.serving.wsgi_worker.Worker"
    assert replace(modes.WSGI, threads=1).gunicorn_worker_class == "sync"
    assert modes.ASGI.gunicorn_worker_class == "kit.serving.worker.Worker"


@pytest.mark.parametrize("server", [modes.WSGI, modes.ASGI], ids=["wsgi", "asgi"])
def test_threads_keep_their_connections_and_check_them(server):
    database = server.database(POSTGRESQL, stock=False)
    assert database["CONN_MAX_AGE"] > 0
    assert database["CONN_HEALTH_CHECKS"] is True
    assert "pool" not in database["OPTIONS"]


def test_djangos_own_asgi_handler_has_a_bounded_pool_and_keeps_no_connections():
    database = modes.ASGI.database(POSTGRESQL, stock=True)
    # A pool with another CONN_MAX_AGE is refused by Django, but only at the first query.
    assert database["CONN_MAX_AGE"] == 0
    assert database["OPTIONS"]["pool"]["max_size"] == modes.ASGI.threads


def test_options_of_the_database_address_survive():
    database = modes.ASGI.database({**POSTGRESQL, "OPTIONS": {"sslmode": "require"}}, stock=False)
    assert database["OPTIONS"]["sslmode"] == "require"


@pytest.mark.parametrize("engine", [SQLITE["ENGINE"], "django.contrib.gis.db.backends.spatialite"])
@pytest.mark.parametrize("server", [modes.WSGI, modes.ASGI], ids=["wsgi", "asgi"])
def test_sqlite_takes_the_write_lock_at_the_start_of_a_transaction(server, engine):
    options = server.database({**SQLITE, "ENGINE": engine}, stock=False)["OPTIONS"]
    assert options["transaction_mode"] == "IMMEDIATE"
    assert "journal_mode=WAL" in options["init_command"]


def test_the_number_of_threads_can_be_said():
    assert {server.threads for server in modes.MODES["hybrid"].with_threads(3).servers()} == {3}


def test_the_ladder_of_timeouts_goes_up():
    assert timeouts.NGINX_UPSTREAM_IDLE < timeouts.SERVER_KEEPALIVE
    assert timeouts.WORKER_TIMEOUT < timeouts.NGINX_PROXY_READ
    assert timeouts.LIVE_HEARTBEAT < timeouts.NGINX_PROXY_READ
    assert timeouts.LIVE_CLOSE < timeouts.WORKER_SHUTDOWN < timeouts.GRACEFUL < timeouts.STOP_GRACE_PERIOD
