"""How to ask for what changes something, for the tests of forged requests."""

from tests.forms import Form


def shown(client, number):
    changes = client.get("/live/wishes/changes?after=0").json()["changes"]
    return next((change["html"] or "" for change in changes if change["id"] == str(number)), "")


def post(victim, attacker):
    text = f"forged by {attacker.name}"
    return Form("/wishes/", {"text": text}, lambda client: text in client.get("/").text)


def cheer(victim, attacker):
    number = attacker.wish("cheer me")
    return Form(f"/wishes/{number}/cheer", {}, lambda client: "1 cheer<" in shown(client, number))


def grant(victim, attacker):
    number = victim.wish("not to be touched by others")
    return Form(f"/wishes/{number}/grant", {}, lambda client: "badge" in shown(client, number))


def delete(victim, attacker):
    number = victim.wish("not to be touched by others")
    return Form(f"/wishes/{number}/delete", {}, lambda client: not shown(client, number))


FORMS = {"wishes:post": post, "wishes:cheer": cheer, "wishes:grant": grant, "wishes:delete": delete}
ONLY_READ = {"wishes:board"}
