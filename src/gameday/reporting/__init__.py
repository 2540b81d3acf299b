"""One DrillRecord in, one document out. Nothing here touches a live target or is needed while a fault is on.

summary.py, sentences.py    what a drill showed, in words: shared, so that no two reports disagree
chart.py                    the drawn timeline as geometry
markdown.py html.py junit.py document.py    one format each
write.py                    `write_reports`: all of them into the evidence folder
console.py console_final.py the live view on a terminal, and its last screen
history_view.py             tables of many drills
"""
