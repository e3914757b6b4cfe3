// Keeps a list live: the element with data-live-topic, its children (id, data-id) newest first. Without this script,
// reload the page to see changes. The element gets an event "announced" for each message that the server announces,
// with the message as its `detail`.

import { connect } from "live";

const list = document.querySelector("[data-live-topic]");
const empty = document.querySelector("[data-live-empty]");
const announcement = document.querySelector("[data-live-announce]");
const status = document.querySelector("[data-live-status]");

const find = (id) => Array.from(list.children).find((item) => item.dataset.id === id);

function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content.firstElementChild;
}

function remove(item) {
  const focused = item.contains(document.activeElement);
  const neighbour = item.nextElementSibling ?? item.previousElementSibling ?? document.querySelector("main");
  item.remove();
  if (focused) neighbour.focus({ preventScroll: true });
}

function replace(shown, item) {
  const focused = shown.contains(document.activeElement);
  item.classList.add("changed");
  shown.replaceWith(item);
  if (focused) item.focus({ preventScroll: true });
}

function insert(item) {
  const older = Array.from(list.children).find((other) => Number(other.dataset.id) < Number(item.dataset.id));
  list.insertBefore(item, older ?? null);
  item.classList.add("arrived");
  while (list.children.length > Number(list.dataset.shown)) remove(list.lastElementChild);
  if (announcement) announcement.textContent = announcement.dataset.liveAnnounce;
}

function apply(changes) {
  for (const { id, html } of changes) {
    const shown = find(id);
    if (html === null) {
      if (shown) remove(shown);
    } else if (shown) {
      replace(shown, parse(html));
    } else {
      insert(parse(html));
    }
  }
  if (empty) empty.hidden = list.children.length > 0;
}

connect({
  topic: list.dataset.liveTopic,
  cursor: list.dataset.liveCursor,
  transports: list.dataset.liveTransports.split(" "),
  onChanges: apply,
  onStatus(name) {
    if (!status) return;
    status.dataset.status = name;
    status.textContent = status.dataset[name];
  },
  onAnnounced: (message) => list.dispatchEvent(new CustomEvent("announced", { detail: message })),
});
