// Makes the page live. Without it the page works as it came; reloading shows what is new.

import { connect } from "live";

const list = document.getElementById("items");
const empty = document.querySelector("[data-empty]");
const announcement = document.querySelector("[data-announce]");
const status = document.querySelector("[data-live-status]");

function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content.firstElementChild;
}

function remove(item) {
  const focused = item.contains(document.activeElement);
  const neighbour = item.nextElementSibling ?? item.previousElementSibling ?? document.getElementById("title");
  item.remove();
  if (focused) neighbour.focus({ preventScroll: true });
}

function insert(item) {
  const older = Array.from(list.children).find((other) => Number(other.dataset.id) < Number(item.dataset.id));
  list.insertBefore(item, older ?? null);
  item.classList.add("arrived");
  while (list.children.length > Number(list.dataset.shown)) remove(list.lastElementChild);
  announcement.textContent = announcement.dataset.announce;
}

function apply(changes) {
  for (const { id, html } of changes) {
    const shown = document.getElementById(`item-${id}`);
    if (html === null) {
      if (shown) remove(shown);
    } else if (shown) {
      const focused = shown.contains(document.activeElement);
      const item = parse(html);
      item.classList.add("changed");
      shown.replaceWith(item);
      if (focused) item.focus({ preventScroll: true });
    } else {
      insert(parse(html));
    }
  }
  empty.hidden = list.children.length > 0;
}

connect({
  topic: list.dataset.liveTopic,
  cursor: list.dataset.liveCursor,
  transports: list.dataset.liveTransports.split(" "),
  onChanges: apply,
  onStatus(name) {
    status.dataset.status = name;
    status.textContent = status.dataset[name];
  },
});
