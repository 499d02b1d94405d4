// The live calls and the trunks, asked for again and again while the page is looked at.
"use strict";

// What a column is called, and what it shows of a call or a trunk; the third says when that alarms.
const callColumns = [
  ["From", (call) => call.from],
  ["To", (call) => call.to],
  ["Trunk", (call) => call.trunk],
  ["Agent", (call) => call.agent],
  ["State", (call) => call.state],
  ["Duration", (call) => duration(call.duration_ms)],
  ["Id", (call) => call.id],
];
const trunkColumns = [
  ["Name", (trunk) => trunk.name],
  ["Address", (trunk) => trunk.address ?? "none: no calls go out"],
  ["Health", (trunk) => trunk.health, (trunk) => trunk.health === "down"],
  ["Registration", registration, (trunk) => trunk.registration === "failed"],
  ["Calls", (trunk) => String(trunk.calls)],
];

const summary = document.getElementById("summary");
const filter = document.getElementById("filter");
const trunkTable = document.getElementById("trunk-table");
const empty = document.getElementById("empty");
const callRows = newRows("calls", callColumns, (call) => call.id);
const trunkRows = newRows("trunks", trunkColumns, (trunk) => trunk.name);
let latest = { count: 0, draining: false, calls: [] };

function duration(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const rest = two(Math.floor(seconds / 60) % 60) + ":" + two(seconds % 60);
  return hours > 0 ? hours + ":" + rest : rest;
}

function registration(trunk) {
  if (trunk.registration === "not_wanted") return "not wanted";
  if (trunk.registration_failure) return trunk.registration + ": " + trunk.registration_failure;
  if (trunk.registered_for_s) return trunk.registration + " for " + trunk.registered_for_s + " s";
  return trunk.registration;
}

// The rows of a table's body, by what names each of them.
function newRows(body, columns, key) {
  return { body: document.getElementById(body), columns, key, byKey: new Map() };
}

function newRow(columns) {
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
function fill(rows, entries) {
  const keys = new Set(entries.map(rows.key));
  for (const [key, row] of rows.byKey) {
    if (!keys.has(key)) {
      row.remove();
      rows.byKey.delete(key);
    }
  }
  entries.forEach((entry, index) => {
    const key = rows.key(entry);
    const row = rows.byKey.get(key) ?? newRow(rows.columns);
    rows.byKey.set(key, row);
    rows.columns.forEach(([, text, alarms], column) => {
      const cell = row.children[column];
      if (cell.textContent !== text(entry)) cell.textContent = text(entry);
      cell.classList.toggle("alarm", alarms !== undefined && alarms(entry));
    });
    const place = rows.body.children[index];
    if (place !== row) rows.body.insertBefore(row, place ?? null);
  });
}

function show() {
  const wanted = filter.value.trim().toLowerCase();
  const fits = (call) => [call.from, call.to, call.trunk, call.agent, call.id].some((text) => text.toLowerCase().includes(wanted));
  const shown = latest.calls.filter(fits);
  fill(callRows, shown);
  empty.hidden = shown.length > 0;
  empty.textContent = latest.count > 0 ? "No call fits." : "No call is up.";
}

function say(text, alarm) {
  if (summary.textContent !== text) summary.textContent = text;
  summary.classList.toggle("alarm", alarm);
}

async function ask(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(5000) });
  if (!response.ok) throw new Error("HTTP " + response.status);
  return response.json();
}

async function refresh() {
  try {
    latest = await ask("/v1/calls");
    const calls = latest.count === 1 ? "1 call is up" : latest.count + " calls are up";
    const listed = latest.calls.length < latest.count ? ", the oldest " + latest.calls.length + " are listed" : "";
    say(calls + listed + (latest.draining ? "; draining, no new ones are taken" : ""), latest.draining);
    show();
  } catch (error) {
    say("No answer from offhook (" + error.message + "); asking again", true);
  }
  setTimeout(refresh, document.hidden ? 10000 : 1000);
}

// Signalling itself has to answer for its trunks: they are asked for seldom, and the calls do not wait for it.
async function refreshTrunks() {
  try {
    const { trunks } = await ask("/v1/trunks");
    fill(trunkRows, trunks);
    trunkTable.hidden = trunks.length === 0;
    trunkTable.caption.textContent = "Trunks";
  } catch (error) {
    trunkTable.caption.textContent = "Trunks as they were: no answer (" + error.message + ")";
  }
  setTimeout(refreshTrunks, document.hidden ? 30000 : 5000);
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
refreshTrunks();
