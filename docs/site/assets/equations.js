// KaTeX draws the equations; without scripts a page shows their TeX.
document.addEventListener("DOMContentLoaded", () => {
  for (const block of document.querySelectorAll("div.arithmatex")) {
    const source = block.textContent.trim().slice(2, -2); // Between \[ and \].
    katex.render(source, block, { displayMode: true });
  }
});
