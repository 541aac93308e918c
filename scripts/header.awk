# Puts the items of cbindgen's output (first file) into the frame (second file), each in the place of its line @name@.
#
# An item that the frame does not name, or a name without an item, is an error: nothing is forgotten on either side.
# What cbindgen cannot say is said here: constants in enums without a name, flags in hexadecimal, a short comment beside
# what it is about, prototypes that fit the page.

FNR == 1 { file++ }
{ sub(/\r$/, "") }

file == 1 && /^$/ { keep_item(); next }
file == 1 { item[++count] = $0; next }

file == 2 && FNR == 1 { keep_item() }
file == 2 && /^@[A-Za-z0-9_]+@$/ {
    name = substr($0, 2, length($0) - 2)
    if (!(name in items)) fail("the frame names " name ", which cbindgen does not give")
    if (name in used) fail("the frame names " name " twice")
    used[name] = 1
    # Two definitions or two typedefs without a comment of several lines stand together; everything else stands apart.
    if (after_item && !(is_short[name] && was_short)) print ""
    print items[name]
    was_short = is_short[name]
    after_item = 1
    next
}
file == 2 { print; after_item = 0 }

END {
    if (failed) exit 1
    for (name in items) if (!(name in used)) fail("the frame does not name " name)
    if (failed) exit 1
}

function fail(sentence) {
    print "header: " sentence > "/dev/stderr"
    failed = 1
}

function keep_item(    first, i, name, text) {
    if (!count) return
    first = 1
    while (first <= count && item[first] ~ /^( \*|\/\*\*)/) first++
    name = name_of(first)
    if (name == "") fail("what is this: " item[first])
    text = comment(1, first - 1, "")
    if (item[first] ~ /^typedef (enum|struct) .*\{$/) text = text members(first)
    else text = text declaration(first)
    items[name] = text
    is_short[name] = text !~ /^\/\*\*\n/ && item[first] !~ /\{$/
    count = 0
    split("", item)
}

function name_of(first,    last, text) {
    last = item[count]
    if (item[first] ~ /^#define /) { split(item[first], words, " "); return words[2] }
    if (last ~ /^} [a-z0-9_]+;$/) return substr(last, 3, length(last) - 3)
    text = joined(first)
    if (text ~ /^typedef .*\(\*[a-z0-9_]+\)\(/) { match(text, /\(\*[a-z0-9_]+\)/); return substr(text, RSTART + 2, RLENGTH - 3) }
    if (text ~ /^typedef .* [a-z0-9_]+;$/) { match(text, /[a-z0-9_]+;$/); return substr(text, RSTART, RLENGTH - 1) }
    if (match(text, /ws_[a-z0-9_]+\(/)) return substr(text, RSTART, RLENGTH - 1)
    return ""
}

function joined(first,    i, line, text) {
    for (i = first; i <= count; i++) {
        line = item[i]
        sub(/^ +/, "", line)
        text = text (text == "" || text ~ /\($/ ? "" : " ") line
    }
    gsub(/struct ws_/, "ws_", text)
    return text
}

# The comment of lines from..to: on one line if it has only one.
function comment(from, to, indent,    i, text) {
    if (to < from) return ""
    if (to - from == 2) {
        text = item[from + 1]
        sub(/^ *\* /, "", text)
        return indent "/** " text " */\n"
    }
    for (i = from; i <= to; i++) text = text item[i] "\n"
    return text
}

# A definition, a typedef or a prototype; a long one is wrapped at its commas, under the first parameter.
function declaration(first,    text, indent, line, words, n, i, wrapped) {
    text = joined(first)
    if (text ~ /^#define WS_(FLAG|SEND)_/) {
        n = split(text, words, " ")
        return words[1] " " words[2] sprintf(" 0x%08Xu", words[3])
    }
    if (text == "#define WS_NO_HANDLE 0") return "#define WS_NO_HANDLE ((ws_handle)0)"
    if (length(text) <= 120) return text
    n = split(text, words, ", ")
    indent = sprintf("%*s", index(text, "("), "")
    line = words[1]
    for (i = 2; i <= n; i++) {
        if (length(line ", " words[i]) > 119) {
            wrapped = wrapped line ",\n"
            line = indent words[i]
        } else line = line ", " words[i]
    }
    return wrapped line
}

# An enum or a struct: each member with its comment beside it where all fit the page, else above it.
function members(first,    i, n, text, width, beside, names, docs, is_enum) {
    is_enum = item[first] ~ /^typedef enum/
    width = 0
    beside = 1
    for (i = first + 1; i < count; i++) {
        if (item[i] ~ /^ *\/\*\*$/) { docs[n + 1] = ""; continue }
        if (item[i] ~ /^ *\*\/$/) continue
        if (item[i] ~ /^ *\* /) { text = item[i]; sub(/^ *\* /, "", text); docs[n + 1] = docs[n + 1] (docs[n + 1] == "" ? "" : " ") text; continue }
        names[++n] = item[i]
        gsub(/struct ws_/, "ws_", names[n])
        if (length(names[n]) > width) width = length(names[n])
    }
    for (i = 1; i <= n; i++) if (width + length(docs[i]) > 125) beside = 0
    text = (is_enum ? "enum {" : item[first]) "\n"
    for (i = 1; i <= n; i++) {
        if (docs[i] == "") text = text names[i] "\n"
        else if (beside) text = text sprintf("%-*s /**< %s */\n", width, names[i], docs[i])
        else text = text "    /** " docs[i] " */\n" names[i] "\n"
    }
    return text (is_enum ? "};" : item[count])
}
