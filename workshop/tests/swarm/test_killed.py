"""A release that is killed, under the load of visitors. Runs with more than one round."""

import os
import signal

from .test_drills import assert_nothing_failed, come_to, under_load


def test_a_release_that_is_killed_is_finished_by_the_next(asgi, load, figures):
    asgi.mark("killed")
    report = load.begin()
    with asgi.releasing() as release:
        come_to("web", release)
        os.killpg(release.pid, signal.SIGKILL)
    report, result, _ = under_load(asgi, load, figures, "killed, then released", "release")
    assert result.returncode == 0, result.stdout + result.stderr
    assert asgi.versions() == {"killed"}
    assert_nothing_failed(load, report)
