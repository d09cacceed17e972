// Draws each figure from the description beside it, when the page has no picture of it.
for (const holder of document.querySelectorAll("[data-figure]")) {
  const spec = JSON.parse(document.getElementById(holder.dataset.figure).textContent);
  Plotly.newPlot(holder, spec.data, spec.layout, {responsive: true, displaylogo: false});
}
