/* The page of chat_server: a list of what was said, a line to say something, and ten lines of script. A part of chat_server.c. */
#ifndef WS101_EXAMPLE_CHAT_SERVER_PAGE_H
#define WS101_EXAMPLE_CHAT_SERVER_PAGE_H

static const char page[] =
    "<!doctype html>\n"
    "<html lang=\"en\"><meta charset=\"utf-8\"><title>chat_server</title>\n"
    "<style>body { font: 16px/1.5 sans-serif; max-width: 40em; margin: 2em auto } ul { list-style: none; padding: 0 } input { width: 100%; font: inherit }</style>\n"
    "<ul id=\"said\"></ul>\n"
    "<form id=\"say\"><input id=\"line\" autofocus autocomplete=\"off\" placeholder=\"Say something\"></form>\n"
    "<script>\n"
    "const said = document.getElementById('said'), line = document.getElementById('line');\n"
    "const socket = new WebSocket(location.href.replace(/^http/, 'ws'));\n"
    "function show(text) {\n"
    "  const item = document.createElement('li');\n"
    "  item.textContent = text; // never innerHTML: it is what others wrote\n"
    "  said.append(item);\n"
    "}\n"
    "socket.onmessage = event => show(event.data);\n"
    "socket.onclose = event => show(`closed ${event.code} ${event.reason}`);\n"
    "document.getElementById('say').onsubmit = event => {\n"
    "  event.preventDefault();\n"
    "  if (line.value !== '') socket.send(line.value);\n"
    "  line.value = '';\n"
    "};\n"
    "</script>\n"
    "</html>\n";

#endif
