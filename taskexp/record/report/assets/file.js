// File: a page that has all it shows in itself.

new Report(document.getElementById("main"), null).take(JSON.parse(document.getElementById("content").textContent));
