// The list of live calls, asked for once a second while the page is looked at.
"use strict";

const columns = [
  ["From", (call) => call.from],
  ["To", (call) => call.to],
  ["Trunk", (call) => call.trunk],
  ["Agent", (call) => call.agent],
  ["State", (call) => call.state],
  ["Duration", (call) => duration(call.duration_ms)],
  ["Id", (call) => call.id],
];

const summary = document.getElementById("summary");
const filter = document.getElementById("filter");
const rows = document.getElementById("calls");
const empty = document.getElementById("empty");
const rowsById = new Map();
let latest = { count: 0, draining: false, calls: [] };

function duration(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const rest = two(Math.floor(seconds / 60) % 60) + ":" + two(seconds % 60);
  return hours > 0 ? hours + ":" + rest : rest;
}

function newRow() {
  const row = document.createElement("tr");
  // On a phone rows are not laid out as a table's; to a screen reader they stay one.
  row.setAttribute("role", "row");
  for (const [label] of columns) {
    const cell = document.createElement("td");
    cell.setAttribute("role", "cell");
    cell.dataset.label = label;
    cell.className = label.toLowerCase();
    row.append(cell);
  }
  return row;
}

// Rows are kept from one answer to the next, so that a selection in them stays. What callers sent is
// set as text and never read as markup.
function show() {
  const wanted = filter.value.trim().toLowerCase();
  const fits = (call) => [call.from, call.to, call.trunk, call.agent, call.id].some((text) => text.toLowerCase().includes(wanted));
  const shown = latest.calls.filter(fits);
  const ids = new Set(shown.map((call) => call.id));
  for (const [id, row] of rowsById) {
    if (!ids.has(id)) {
      row.remove();
      rowsById.delete(id);
    }
  }
  shown.forEach((call, index) => {
    const row = rowsById.get(call.id) ?? newRow();
    rowsById.set(call.id, row);
    columns.forEach(([, text], column) => {
      const cell = row.children[column];
      if (cell.textContent !== text(call)) cell.textContent = text(call);
    });
    if (rows.children[index] !== row) rows.insertBefore(row, rows.children[index] ?? null);
  });
  empty.hidden = shown.length > 0;
  empty.textContent = latest.count > 0 ? "No call fits." : "No call is up.";
}

function say(text, alarm) {
  if (summary.textContent !== text) summary.textContent = text;
  summary.classList.toggle("alarm", alarm);
}

async function refresh() {
  try {
    const response = await fetch("/v1/calls", { signal: AbortSignal.timeout(5000) });
    if (!response.ok) throw new Error("HTTP " + response.status);
    latest = await response.json();
    const calls = latest.count === 1 ? "1 call is up" : latest.count + " calls are up";
    const listed = latest.calls.length < latest.count ? ", the oldest " + latest.calls.length + " are listed" : "";
    say(calls + listed + (latest.draining ? "; draining, no new ones are taken" : ""), latest.draining);
    show();
  } catch (error) {
    say("No answer from offhook (" + error.message + "); asking again", true);
  }
  setTimeout(refresh, document.hidden ? 10000 : 1000);
}

filter.addEventListener("input", show);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== filter) {
    event.preventDefault();
    filter.focus();
  } else if (event.key === "Escape" && document.activeElement === filter) {
    filter.value = "";
    show();
  }
});
refresh();
