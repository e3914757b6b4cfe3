// Makes the board live. Without this script, reload the page to see changes.

import { connect } from "live";

const list = document.getElementById("wishes");
const empty = document.querySelector("[data-empty]");
const older = document.querySelector(".pages .older");
const announcement = document.querySelector("[data-announce]");
const pageSize = Number(list.dataset.pageSize);
const language = document.documentElement.lang;

const idOf = (wish) => Number(wish.dataset.id);

function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  const wish = template.content.firstElementChild;
  tellTime(wish);
  return wish;
}

// --- Focus: changes by others don't move it.

function replace(old, wish) {
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const details = wish.querySelector("details");
  if (details) details.open = Boolean(old.querySelector("details")?.open);
  old.replaceWith(wish);
  if (!focused) return;
  const action = focused.dataset.action;
  if (action) wish.querySelector(`[data-action="${action}"]`)?.focus({ preventScroll: true });
  // The button may be gone, or hidden from this viewer.
  if (!wish.contains(document.activeElement)) wish.focus({ preventScroll: true });
}

function remove(wish) {
  const focused = wish.contains(document.activeElement);
  const neighbour = wish.nextElementSibling ?? wish.previousElementSibling ?? document.getElementById("wishes-title");
  wish.remove();
  if (focused) neighbour.focus({ preventScroll: true });
}

// --- Changes

function belongsHere(id) {
  if (list.dataset.page !== "1") return false;
  const last = list.lastElementChild;
  if (last && id > idOf(last)) return true;
  // Append below the last wish only if there is no further page.
  return list.children.length < pageSize && !("more" in list.dataset);
}

function insert(wish) {
  const next = Array.from(list.children).find((other) => idOf(other) < idOf(wish));
  list.insertBefore(wish, next ?? null);
  wish.classList.add("arrived");
}

function trim() {
  while (list.children.length > pageSize) {
    remove(list.lastElementChild);
    list.dataset.more = "";
    older.hidden = false;
    older.parentElement.hidden = false;
  }
}

function apply(changes) {
  const newest = list.firstElementChild ? idOf(list.firstElementChild) : 0;
  let arrived = false;
  for (const { id, html } of changes) {
    const shown = document.getElementById(`wish-${id}`);
    if (html === null) {
      if (shown) remove(shown);
    } else if (shown) {
      const wish = parse(html);
      wish.classList.add("changed");
      replace(shown, wish);
    } else if (belongsHere(Number(id))) {
      insert(parse(html));
      arrived ||= Number(id) > newest;
    }
  }
  trim();
  empty.hidden = list.children.length > 0 || "more" in list.dataset;
  if (arrived) announcement.textContent = announcement.dataset.announce;
}

// --- Status

const status = document.querySelector("[data-live-status]");

function showStatus(name) {
  status.dataset.status = name;
  status.textContent = status.dataset[name];
}

// --- Times in the reader's time zone and language

const whole = new Intl.DateTimeFormat(language, { dateStyle: "long", timeStyle: "short" });
const ago = new Intl.RelativeTimeFormat(language, { numeric: "auto" });

function tellTime(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const date = new Date(time.dateTime);
    const minutes = Math.min(0, Math.round((date - Date.now()) / 60_000));
    time.title = whole.format(date);
    if (minutes === 0) time.textContent = ago.format(0, "second");
    else if (minutes > -60) time.textContent = ago.format(minutes, "minute");
    else if (minutes > -24 * 60) time.textContent = ago.format(Math.round(minutes / 60), "hour");
    else time.textContent = whole.format(date);
  }
}

tellTime(list);
setInterval(() => tellTime(list), 60_000);

// --- Characters left of 280

const counter = document.querySelector("[data-counter]");

if (counter) {
  const field = document.querySelector(".compose textarea");
  const count = () => {
    // Counts characters as the server does: an emoji is one.
    const left = Number(counter.dataset.counter) - Array.from(field.value.trim()).length;
    counter.classList.toggle("over", left < 0);
    // Announced near the end only, not at every key.
    counter.setAttribute("aria-live", left <= 20 ? "polite" : "off");
    counter.textContent = counter.dataset[left < 0 ? "over" : "left"].replace("{n}", Math.abs(left));
  };
  counter.hidden = false;
  field.addEventListener("input", count);
  count();
}

// --- After a wish's button, the page keeps its scroll position

const PLACE = "wishes.place";

document.getElementById("act")?.addEventListener("submit", (event) => {
  const wish = event.submitter.closest(".wish");
  const place = { page: location.href, top: scrollY, wish: wish.id, action: event.submitter.dataset.action };
  sessionStorage.setItem(PLACE, JSON.stringify(place));
});

const place = JSON.parse(sessionStorage.getItem(PLACE) ?? "null");
sessionStorage.removeItem(PLACE);
if (place?.page === location.href) {
  scrollTo({ top: place.top, behavior: "instant" });
  const wish = document.getElementById(place.wish);
  wish?.querySelector(`[data-action="${place.action}"]`)?.focus({ preventScroll: true });
  if (wish && !wish.contains(document.activeElement)) wish.focus({ preventScroll: true });
}

connect({
  topic: list.dataset.liveTopic,
  cursor: list.dataset.liveCursor,
  transports: list.dataset.liveTransports.split(" "),
  onChanges: apply,
  onStatus: showStatus,
});
