// What makes pages handier where scripts run; each of them works without.
"use strict";

// Shows what is of use with a script only.
for (const element of document.querySelectorAll(".script-only")) {
  element.hidden = false;
}

// Copies the text of a field.
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const field = document.getElementById(button.dataset.copy);
    field.select();
    await navigator.clipboard.writeText(field.value);
    button.textContent = button.dataset.copied;
  });
}

// Keeps a part of the page as new as the server's, as long as somebody looks at it.
for (const part of document.querySelectorAll("[data-refresh]")) {
  let tag = null;
  const refresh = async () => {
    if (!document.hidden) {
      try {
        const answer = await fetch(part.dataset.refresh, {
          headers: tag ? { "If-None-Match": tag } : {},
          redirect: "error",
          cache: "no-store",
        });
        if (answer.status === 200) {
          tag = answer.headers.get("ETag");
          // The server escapes all that vehicles and people wrote.
          part.innerHTML = await answer.text();
        }
      } catch {
        // Out of reach, or logged out: the next try, or a click, will tell.
      }
    }
    setTimeout(refresh, 2000);
  };
  setTimeout(refresh, 2000);
}

// Narrows a list while somebody types; the form's own filter does the same on the server.
for (const field of document.querySelectorAll("[data-search]")) {
  const rows = document.querySelectorAll(`#${field.dataset.search} > li`);
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    for (const row of rows) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
    }
  });
}

// Counts what a list shows and what is ticked in its form, as the server did when it made the page.
for (const count of document.querySelectorAll("[data-count]")) {
  const form = count.closest("form");
  const tell = () => {
    const shown = form.querySelectorAll("li:not([hidden]) > label > [name=d]").length;
    const ticked = form.querySelectorAll("[name=d][type=hidden], [name=d]:checked").length;
    const numbers = [shown, ticked];
    count.textContent = count.dataset.count.replaceAll("{}", () => numbers.shift());
  };
  form.addEventListener("input", tell);
  // A page that is gone back to has the ticks that it was left with.
  addEventListener("pageshow", tell);
}

// A click into the map fills in the middle of a zone.
for (const map of document.querySelectorAll("[data-map]")) {
  map.addEventListener("click", (event) => {
    const area = map.getBoundingClientRect();
    const { width, height } = map.viewBox.baseVal;
    const scale = Math.min(area.width / width, area.height / height);
    const x = (event.clientX - area.left - (area.width - width * scale) / 2) / scale;
    const y = (event.clientY - area.top - (area.height - height * scale) / 2) / scale;
    const data = map.dataset;
    const latitude = Number(data.north) - y / Number(data.unitsLatitude);
    const longitude = Number(data.west) + x / Number(data.unitsLongitude);
    document.getElementById("latitude").value = latitude.toFixed(5);
    document.getElementById("longitude").value = longitude.toFixed(5);
  });
}
