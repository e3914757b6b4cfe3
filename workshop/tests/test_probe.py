"""The application that the tests of the stack drive, without Docker: a fault of its own shows here first."""

import time

import httpx


def live(server):
    return httpx.get(f"{server.url}/live/probe/changes?after=0").json()["changes"]


def test_a_post_is_listed_and_live_until_it_is_deleted(notes_server):
    with notes_server.poster() as poster:
        number = poster.post("probed")
        assert [change["html"].count("probed") for change in live(notes_server) if change["id"] == str(number)] == [1]
        assert poster.send(f"/probe/{number}/delete", page="/probe/").status_code == 200
        assert "probed" not in poster.client.get("/probe/").text
    assert {"id": str(number), "html": None} in live(notes_server)


def test_a_page_says_who_is_signed_in_and_by_which_address_it_was_asked(notes_server):
    with notes_server.poster() as poster, notes_server.client() as stranger:
        assert f'data-signed-in="{poster.name}" data-address="/probe/?a=b"' in poster.client.get("/probe/?a=b").text
        assert 'data-signed-in=""' in stranger.get("/probe/").text


def test_no_name_but_that_of_a_probe_signs_in(notes_server):
    with notes_server.member() as member, notes_server.poster() as poster:
        assert poster.send("/probe/sign-in", {"name": member.name}, page="/probe/").status_code == 403


def test_a_form_without_a_file_and_a_text_that_is_too_long_are_refused(notes_server):
    with notes_server.poster() as poster:
        assert poster.send("/probe/upload", page="/probe/").status_code == 422
        assert poster.send("/probe/", {"text": "x" * 281}, page="/probe/").status_code == 422


def test_a_slow_view_and_a_stream_take_their_time(notes_server):
    begin = time.monotonic()
    assert httpx.get(f"{notes_server.url}/probe/slow?seconds=0.5").text == "done"
    assert time.monotonic() - begin >= 0.5
    assert httpx.get(f"{notes_server.url}/probe/slow?seconds=11").status_code == 400
    with httpx.stream("GET", f"{notes_server.url}/probe/stream") as response:
        moments = [time.monotonic() for line in response.iter_lines() if line]
    assert moments[-1] - moments[0] > 1.5
