"""The example's conversation while parts of the stack die and a release takes place: two browsers, each of which writes
all the time. Without the example nothing is tested."""

import time

import pytest
from django.apps import apps
from playwright.sync_api import expect

from .test_browser import sign_up
from .test_failures import kill_a_worker

# In wsgi mode it has no WebSocket of its own: workshop/tests/test_conversation.py kills a worker there, too.
pytestmark = [
    pytest.mark.modes("asgi", "hybrid"),
    pytest.mark.skipif(not apps.is_installed("apps.wishes"), reason="the example is gone"),
]
BACK_WITHIN = 60_000
ROUNDS = 12
# Before which round, and what happens to the stack while both go on writing.
ACCIDENTS = {
    2: kill_a_worker,
    4: lambda stack: stack.compose("kill", "redis"),
    6: lambda stack: stack.compose("start", "redis"),
    8: lambda stack: stack.run("make", "release"),
}


@pytest.fixture
def two(stack, new_page):
    owner, member = new_page("/"), new_page("/")
    sign_up(owner, f"owner-{time.time_ns()}")
    sign_up(member, f"member-{time.time_ns()}")
    text = f"somebody to talk to, {time.time_ns()}"
    owner.get_by_label("Your wish").fill(text)
    owner.get_by_role("button", name="Post the wish").click()
    expect(owner.locator("#wishes > li", has_text=text)).to_be_visible()
    member.reload()
    member.locator("#wishes > li", has_text=text).get_by_role("button", name="Talk about it").click()
    expect(member.locator("#messages")).to_be_attached()
    owner.goto(member.url)
    return owner, member


def write(page, text):
    field = page.locator("form.compose textarea")
    field.fill(text)
    field.press("Enter")


def test_no_message_of_a_conversation_is_lost_doubled_or_out_of_order(stack, two, figures):
    said = {page: [] for page in two}
    begin = time.monotonic()
    for number in range(ROUNDS):
        for page, name in zip(two, ("owner", "member"), strict=True):
            said[page].append(f"{number} of {name}")
            write(page, said[page][-1])
        if number in ACCIDENTS:
            ACCIDENTS[number](stack)
        time.sleep(1)
    for page in two:
        expect(page.locator("#messages > li[data-id]")).to_have_count(2 * ROUNDS, timeout=BACK_WITHIN)
        expect(page.locator("#messages > li")).to_have_count(2 * ROUNDS)
    texts = two[0].locator("#messages > li[data-id] .text").all_inner_texts()
    assert two[1].locator("#messages > li[data-id] .text").all_inner_texts() == texts
    assert [[text for text in texts if text in each] for each in said.values()] == list(said.values())
    two[0].reload()
    expect(two[0].locator("#messages > li[data-id] .text")).to_have_text(texts)
    figures.append(
        f"{stack.mode}: {2 * ROUNDS} messages in {time.monotonic() - begin:.0f} s, all there, once, in order"
    )
