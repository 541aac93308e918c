/* The protocol without any transport: a client and a server in one program, and two byte arrays between them.
 *
 *     protocol_component [--hex]        --hex shows the bytes that travel
 *
 * The handshake, a compressed message in three fragments, its echo as one, and the close: all that two programs would send each other.
 * Everything here follows from two seeds and a clock that stands still, so that it is the same every time. */
#include <string.h>
#include "example.h"

/* One direction: what was written and not read yet. */
typedef struct wire {
    unsigned char bytes[4096];
    size_t length;
} wire;

typedef struct peer {
    const char *name;
    ws_handle protocol;
    wire *out, *in;
    uint64_t reading; /* the id of the read that waits for bytes; 0 = none */
    void *room;
    size_t room_length;
    char message[256]; /* what has come of it so far */
    size_t message_length;
    bool is_over;
} peer;

static bool shows_bytes;

static void show(const char *who, const ws_bytes part)
{
    if (!shows_bytes || part.length == 0) return;
    printf("%-7s", who);
    for (size_t i = 0; i < part.length; i++) {
        unsigned byte = ((const unsigned char *)part.data)[i];
        if (byte >= 32 && byte < 127) putchar((int)byte);
        else printf("\\%02x", byte);
    }
    putchar('\n');
}

/* Writes what the wire takes; returns how many bytes that were. */
static size_t put(peer *from, const ws_bytes parts[2])
{
    size_t count = 0;
    for (int i = 0; i < 2; i++) {
        size_t room = sizeof from->out->bytes - from->out->length;
        size_t length = parts[i].length < room ? parts[i].length : room;
        if (length == 0) continue;
        memcpy(from->out->bytes + from->out->length, parts[i].data, length);
        show(from->name, (ws_bytes){parts[i].data, length});
        from->out->length += length;
        count += length;
    }
    return count;
}

/* Reads what the wire has. */
static size_t take(peer *to, void *room, size_t length)
{
    size_t count = to->in->length < length ? to->in->length : length;
    memcpy(room, to->in->bytes, count);
    memmove(to->in->bytes, to->in->bytes + count, to->in->length - count);
    to->in->length -= count;
    return count;
}

/* A piece of a message has come; with its last one it is whole. */
static ws_status heard(peer *me, const ws_action *action)
{
    size_t length = action->parts[0].length;
    if (action->type == WS_CLOSE_FRAME) {
        uint16_t status;
        char reason[123];
        ws_status queried = ws_query_close_status(me->protocol, &status, reason, sizeof reason, &length);
        if (queried == WS_OK) printf("%s: closed with %u %.*s\n", me->name, (unsigned)status, (int)length, reason);
        return queried;
    }
    if (length > sizeof me->message - me->message_length) return WS_ERROR_MESSAGE_TOO_BIG;
    if (length > 0) memcpy(me->message + me->message_length, action->parts[0].data, length);
    me->message_length += length;
    printf("%s: %zu bytes%s\n", me->name, length, action->type == WS_UTF8_MESSAGE ? ", and the message is whole" : "");
    if (action->type != WS_UTF8_MESSAGE) return WS_OK;
    printf("%s: > %.*s\n", me->name, (int)me->message_length, me->message);
    if (strcmp(me->name, "server") == 0) { /* an echo; its memory is the component's until the send is complete */
        ws_bytes echo = {me->message, me->message_length};
        return ws_protocol_send(me->protocol, WS_UTF8_MESSAGE, 0, &echo, 1, NULL);
    }
    return ws_protocol_control(me->protocol, 8, WS_CLOSE_NORMAL, "Done", 4);
}

/* The client's message, in three fragments: each one call, the middle one gathered from two places. */
static ws_status speak(peer *me)
{
    static const ws_bytes first[] = {{"hello, hello, hello", 19}}, second[] = {{", ", 2}, {"hello, hello, hello", 19}}, last[] = {{", hello", 7}};
    ws_status status = ws_protocol_send(me->protocol, WS_UTF8_FRAGMENT, 0, first, 1, NULL);
    if (status == WS_OK) status = ws_protocol_send(me->protocol, WS_UTF8_FRAGMENT, 0, second, 2, NULL);
    if (status == WS_OK) status = ws_protocol_send(me->protocol, WS_UTF8_MESSAGE, 0, last, 1, NULL);
    return status;
}

/* What it cost: more was said than was written. */
static ws_status count(const peer *me)
{
    ws_statistics done = {.size = sizeof done};
    size_t length = sizeof done;
    char extensions[128];
    ws_status status = ws_query_option(me->protocol, WS_OPTION_STATISTICS, &done, &length);
    length = sizeof extensions;
    if (status == WS_OK) status = ws_query_option(me->protocol, WS_OPTION_EXTENSIONS, extensions, &length);
    if (status == WS_OK) printf("%s: over; %d frames received, %d sent%s%s\n", me->name, (int)done.frames_received, (int)done.frames_sent, length > 0 ? "; " : "", extensions);
    return status;
}

/* Asks for compression, or agrees to it; a build without it does without. */
static ws_status compress(const peer *me)
{
    ws_compression wish = {.size = sizeof wish, .enabled = 1, .threshold = 1};
    ws_status status = ws_set_option(me->protocol, WS_OPTION_COMPRESSION, &wish, sizeof wish);
    return status == WS_ERROR_NOT_SUPPORTED ? WS_OK : status;
}

/* Does one thing for a peer; *idle if there is nothing to do now. */
static ws_status step(peer *me, bool *idle)
{
    ws_action action = {.size = sizeof action};
    size_t count = 0;
    ws_status status = WS_OK;
    if (me->reading != 0 && me->in->length > 0) {
        uint64_t id = me->reading;
        me->reading = 0;
        return ws_protocol_complete_action(me->protocol, id, 0, take(me, me->room, me->room_length));
    }
    status = ws_protocol_get_action(me->protocol, 0, &action);
    if (status != WS_OK) return status;
    switch (action.kind) {
    case WS_ACTION_NONE:
    case WS_ACTION_WAKE_AT: *idle = true; return WS_OK;
    case WS_ACTION_SEND_TO_NETWORK: count = put(me, action.parts); break;
    case WS_ACTION_RECEIVE_FROM_NETWORK: /* later: the wire may be empty */
        me->reading = action.id;
        me->room = action.room;
        me->room_length = action.room_length;
        return WS_OK;
    case WS_ACTION_HANDSHAKEN:
        if (action.status != WS_OK) return action.status;
        printf("%s: handshake done\n", me->name);
        status = strcmp(me->name, "server") == 0 ? ws_protocol_accept(me->protocol) : speak(me);
        break;
    case WS_ACTION_INDICATE_RECEIVE_COMPLETE: status = action.status == WS_OK ? heard(me, &action) : action.status; break;
    case WS_ACTION_INDICATE_SEND_COMPLETE: status = action.status; break;
    case WS_ACTION_CLOSED: me->is_over = true; status = action.status; break;
    default: break;
    }
    if (status == WS_OK) status = ws_protocol_complete_action(me->protocol, action.id, 0, count);
    /* The next piece: as a view, without a buffer of our own. */
    if (status == WS_OK && (action.kind == WS_ACTION_HANDSHAKEN || (action.kind == WS_ACTION_INDICATE_RECEIVE_COMPLETE && action.type != WS_CLOSE_FRAME)))
        status = ws_protocol_receive(me->protocol, NULL, 0, NULL);
    return status;
}

/* Until both are over. A client waits for the server to end the transport, which is when the server is. */
static int converse(peer *client, peer *server)
{
    while (!client->is_over || !server->is_over) {
        peer *both[] = {client, server};
        bool idle[] = {false, false};
        for (int i = 0; i < 2; i++) {
            ws_status status = both[i]->is_over ? WS_OK : step(both[i], &idle[i]);
            if (status != WS_OK) return failed(both[i]->name, status);
        }
        if (server->is_over && client->reading != 0 && client->in->length == 0) {
            ws_status status = ws_protocol_complete_action(client->protocol, client->reading, 0, 0); /* nothing more will come */
            if (status != WS_OK) return failed(client->name, status);
            client->reading = 0;
        } else if (idle[0] && idle[1] && client->in->length == 0 && server->in->length == 0) {
            fprintf(stderr, "both wait for each other\n");
            return 1;
        }
    }
    return count(client) == WS_OK && count(server) == WS_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
    /* A real program takes seeds that nobody can predict, for instance of getrandom(). */
    static const unsigned char seeds[2][32] = {{1}, {2}};
    static wire there, back;
    peer client = {.name = "client", .out = &there, .in = &back}, server = {.name = "server", .out = &back, .in = &there};
    ws_status status;
    int result;
    shows_bytes = argc == 2 && strcmp(argv[1], "--hex") == 0;
    if (argc > 2 || (argc == 2 && !shows_bytes)) {
        fprintf(stderr, "usage: protocol_component [--hex]\n");
        return 2;
    }
    status = ws_protocol_create(0, seeds[0], &client.protocol);
    if (status == WS_OK) status = ws_protocol_create(1, seeds[1], &server.protocol);
    if (status == WS_OK) status = compress(&client);
    if (status == WS_OK) status = compress(&server);
    if (status == WS_OK) status = ws_protocol_begin(server.protocol, NULL);
    if (status == WS_OK) status = ws_protocol_begin(client.protocol, "ws://server.example/chat");
    if (status != WS_OK) return failed("protocol_component", status);
    result = converse(&client, &server);
    ws_close_handle(client.protocol);
    ws_close_handle(server.protocol);
    return result;
}
