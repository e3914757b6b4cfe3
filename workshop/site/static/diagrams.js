// Draws the diagrams of a page: blocks of Mermaid, which stay code where no script runs.
const address = new URL("mermaid.tiny.js", document.currentScript.src);
addEventListener("DOMContentLoaded", () => {
  const blocks = document.querySelectorAll(".highlight-mermaid");
  if (!blocks.length) return;
  const script = document.createElement("script");
  script.src = address;
  script.onload = () => {
    mermaid.initialize({ startOnLoad: false, theme: "neutral" });
    for (const block of blocks) {
      block.textContent = block.querySelector("pre").textContent;
      block.className = "mermaid";
    }
    mermaid.run();
  };
  document.head.append(script);
});
