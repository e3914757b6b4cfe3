// The least that a live page needs.

import { connect } from "live";

const list = document.getElementById("posts");
const status = document.querySelector("[data-live-status]");

function apply(changes) {
  for (const { id, html } of changes) {
    document.getElementById(`post-${id}`)?.remove();
    if (html !== null) list.insertAdjacentHTML("afterbegin", html);
  }
}

connect({
  topic: list.dataset.liveTopic,
  cursor: list.dataset.liveCursor,
  transports: list.dataset.liveTransports.split(" "),
  onChanges: apply,
  onStatus: (name) => {
    status.textContent = `live: ${name}`;
  },
});
