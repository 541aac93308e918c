# Compares the table of docs/THREADING.md with what the header says in the last paragraph of every function. Prints a line for each that differs; exits with 1 if
# any does.
#   awk -f check.awk HEADER DOCUMENT

function wrong(what) { print what; failed = 1 }

function trim(text) { gsub(/^ +| +$/, "", text); return text }

# ---- the header: of each comment the last paragraph is kept ----
FNR == NR && /^\/\*\*/ { paragraph = "" }
FNR == NR && /^ \*$/ { paragraph = "" }
FNR == NR && /^ \* / { paragraph = paragraph substr($0, 3) }
FNR == NR && /^WS_API / {
    match($0, /ws_[a-z0-9_]*\(/)
    name = substr($0, RSTART, RLENGTH - 1)
    order[++count] = name
    says[name] = paragraph
}
FNR == NR { next }

# ---- the document: | `ws_name` | thread | blocks? | from a callback? | ----
/^\| `ws_/ {
    cells = split($0, cell, "|")
    name = trim(cell[2])
    gsub(/`/, "", name)
    if (cells != 6) wrong(name ": its row has not four cells")
    if (name in row) wrong(name ": has two rows")
    row[name] = 1
    if (!(name in says)) { wrong(name ": has a row, and is not in the header"); next }
    thread(name, trim(cell[3]))
    blocks(name, trim(cell[4]))
    callback(name, trim(cell[4]), trim(cell[5]))
}

function thread(name, shown,    wanted) {
    if (says[name] ~ /^ Any thread but /) wanted = "any but the library's own"
    else if (says[name] ~ /^ Any thread, one at a time/) wanted = "any, one at a time"
    else if (says[name] ~ /^ Any thread/) wanted = "any"
    else if (says[name] ~ /^ One thread at a time/) wanted = "own"
    else if (says[name] ~ /^ (One driving thread|(Only t|T)he thread that drives the loop)/) wanted = "the loop's"
    else { wrong(name ": the header does not say from which thread"); return }
    # Of many functions the header tells under INCORRECT_HANDLE_STATE and INVALID_OPERATION that a second thread is refused.
    if (shown != wanted && !(wanted == "any" && shown == "any, one at a time")) wrong(name ": thread is \"" shown "\", by the header \"" wanted "\"")
}

function blocks(name, shown,    wanted, rest) {
    if (says[name] ~ /\. Does not wait, but for/) wanted = "^no, but "
    else if (says[name] ~ /\. (Does not wait|No I\/O)/) wanted = "^no$"
    else if (says[name] ~ /\. Waits/) wanted = "^yes, "
    else { wrong(name ": the header does not say whether it waits"); return }
    if (shown !~ wanted) wrong(name ": blocks is \"" shown "\", by the header it must match " wanted)
    for (rest = says[name]; match(rest, /WS_OPTION_[A-Z_]*/); rest = substr(rest, RSTART + RLENGTH)) {
        if (index(shown, "`" substr(rest, RSTART, RLENGTH) "`") == 0) wrong(name ": blocks does not name " substr(rest, RSTART, RLENGTH))
    }
}

function callback(name, waits, shown) {
    if (shown != "yes" && shown != "no" && shown != "it waits") wrong(name ": from a callback is \"" shown "\"")
    if (shown == "yes" && waits != "no") wrong(name ": may be called from a callback, and waits: that must be said")
    if (shown == "it waits" && waits == "no") wrong(name ": waits in a callback, and does not block")
}

END {
    for (i = 1; i <= count; ++i) if (!(order[i] in row)) wrong(order[i] ": has no row")
    if (count < 50) wrong("only " count + 0 " functions were found in the header: that cannot be true")
    if (!failed) print count " functions"
    exit failed
}
