"""The script of live pages (live.js) in a real browser, told things that a server seldom says."""

import re

import pytest
from playwright.sync_api import expect

ANSWERS = {
    "events": {"content_type": "text/event-stream", "body": "event: forbidden\ndata:\n\n"},
    "changes": {"status": 403, "json": {}},
}


@pytest.fixture
def page(browser, server):
    page = browser.new_page(base_url=server.url.replace("127.0.0.1", "localhost"))
    page.clock.install()
    yield page
    page.close()


@pytest.mark.modes("asgi")
@pytest.mark.parametrize("transport", ["ws", "events", "changes"])
def test_a_page_that_may_not_follow_its_topic_says_so_and_asks_no_more(page, transport):
    asked = []

    def socket(socket):
        asked.append("ws")
        socket.close(code=4403 if transport == "ws" else 1011)

    def answer(route):
        name = re.search(r"/(\w+)\?", route.request.url)[1]
        asked.append(name)
        # To a script an event stream that is refused looks like one that failed.
        route.fulfill(**(ANSWERS[name] if name == transport else {"status": 403}))

    page.route_web_socket(re.compile("/live/"), socket)
    page.route("**/live/**/*?after=*", answer)
    page.goto("/probe/")
    status = page.locator("[data-live-status]")
    for _ in range(20):
        page.clock.run_for(1000)
        if status.inner_text() == "live: forbidden":
            break
    expect(status).to_have_text("live: forbidden")
    assert asked[-1] == transport
    before = len(asked)
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    page.clock.run_for(60_000)
    expect(status).to_have_text("live: forbidden")
    assert len(asked) == before


@pytest.mark.modes("asgi")
def test_a_page_gives_up_a_transport_that_never_answers(page):
    asked = []
    page.route_web_socket(re.compile("/live/"), lambda socket: asked.append("ws"))
    page.route("**/live/**/*?after=*", lambda route: asked.append(re.search(r"/(\w+)\?", route.request.url)[1]))
    page.goto("/probe/")
    for _ in range(60):
        page.clock.run_for(1000)
        if len(asked) > 3:
            break
    assert asked == ["ws", "events", "changes", "ws"]


@pytest.mark.modes("asgi")
def test_what_is_announced_reaches_the_page_s_script(browser, server):
    with browser.new_context(base_url=server.url.replace("127.0.0.1", "localhost"), bypass_csp=True) as context:
        page = context.new_page()
        message = '{"cursor":"1","changes":[],"announced":[{"typing":"Ann"},{"typing":"Bob"}]}'
        page.route_web_socket(re.compile("/live/"), lambda socket: socket.send(message))
        page.goto("/probe/")
        heard = page.evaluate(
            """async () => {
                const { connect } = await import("live");
                const heard = [];
                await new Promise((resolve) => setTimeout(resolve, 5000) && connect({
                    topic: "probe", cursor: "0", transports: ["websocket"], onChanges() {}, onStatus() {},
                    onAnnounced(message) { heard.push(message.typing); if (heard.length === 2) resolve(); },
                }));
                return heard;
            }"""
        )
        assert heard == ["Ann", "Bob"]
