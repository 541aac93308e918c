/* libwebsockets [echo|broadcast]: its own event loop, its default one. What comes is kept until the connection is writeable, and one message is written
 * each time that it says so. Its receive buffer is 64 KiB, so that messages up to that go back whole; larger ones go back in the pieces they came in. */
#include <libwebsockets.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 64 << 10, MOST = 20000 };

struct piece {
    struct piece *next;
    size_t length;
    unsigned users;
    bool is_first, is_last, is_binary;
    unsigned char bytes[]; /* LWS_PRE of room for the header, then the payload */
};

struct link { /* of one connection's queue to a piece that several have */
    struct link *next;
    struct piece *piece;
};

struct connection {
    struct connection *previous, *next;
    struct lws *lws;
    struct link *first, **last;
};

static bool broadcasts;
static struct connection everybody = {.previous = &everybody, .next = &everybody};

static void *allocate(size_t length)
{
    void *memory = malloc(length);
    if (memory == NULL) abort();
    return memory;
}

static void give_back(struct connection *connection)
{
    struct link *link = connection->first;
    connection->first = link->next;
    if (connection->first == NULL) connection->last = &connection->first;
    if (--link->piece->users == 0) free(link->piece);
    free(link);
}

static void queue(struct connection *connection, struct piece *piece)
{
    struct link *link = allocate(sizeof *link);
    *link = (struct link){.piece = piece};
    ++piece->users;
    *connection->last = link;
    connection->last = &link->next;
    lws_callback_on_writable(connection->lws);
}

static void received(struct connection *connection, const void *data, size_t length)
{
    struct piece *piece = allocate(sizeof *piece + LWS_PRE + length);
    *piece = (struct piece){.length = length, .is_first = lws_is_first_fragment(connection->lws) != 0, .is_binary = lws_frame_is_binary(connection->lws) != 0};
    piece->is_last = lws_is_final_fragment(connection->lws) && lws_remaining_packet_payload(connection->lws) == 0;
    memcpy(piece->bytes + LWS_PRE, data, length);
    if (!broadcasts) return queue(connection, piece);
    for (struct connection *other = everybody.next; other != &everybody; other = other->next) queue(other, piece);
}

static int write_one(struct connection *connection)
{
    if (connection->first == NULL) return 0;
    struct piece *piece = connection->first->piece;
    int flags = lws_write_ws_flags(piece->is_binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT, piece->is_first, piece->is_last);
    int written = lws_write(connection->lws, piece->bytes + LWS_PRE, piece->length, (enum lws_write_protocol)flags);
    if (written < (int)piece->length) return -1;
    give_back(connection);
    if (connection->first != NULL) lws_callback_on_writable(connection->lws);
    return 0;
}

static int on_event(struct lws *lws, enum lws_callback_reasons reason, void *user, void *in, size_t length)
{
    struct connection *connection = user;
    switch ((int)reason) {
    case LWS_CALLBACK_ESTABLISHED:
        *connection = (struct connection){.lws = lws, .previous = everybody.previous, .next = &everybody, .last = &connection->first};
        everybody.previous->next = connection;
        everybody.previous = connection;
        break;
    case LWS_CALLBACK_RECEIVE: received(connection, in, length); break;
    case LWS_CALLBACK_SERVER_WRITEABLE: return write_one(connection);
    case LWS_CALLBACK_CLOSED:
        connection->previous->next = connection->next;
        connection->next->previous = connection->previous;
        while (connection->first != NULL) give_back(connection);
        break;
    default: break;
    }
    return 0;
}

int main(int argc, char **argv)
{
    broadcasts = argc > 1 && strcmp(argv[1], "broadcast") == 0;
    lws_set_log_level(LLL_ERR, NULL);
    const struct lws_protocols protocols[] = {
        {.name = "bench", .callback = on_event, .per_session_data_size = sizeof(struct connection), .rx_buffer_size = ROOM}, {0}};
    struct lws_context_creation_info info = {0};
    info.port = 0;
    info.iface = "127.0.0.1";
    info.protocols = protocols;
    info.gid = -1;
    info.uid = -1;
    info.pt_serv_buf_size = ROOM;
    info.fd_limit_per_thread = MOST;
    info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
    struct lws_context *context = lws_create_context(&info);
    struct lws_vhost *host = context == NULL ? NULL : lws_create_vhost(context, &info);
    if (host == NULL) return 1;
    printf("%d\n", lws_get_vhost_listen_port(host));
    fflush(stdout);
    while (lws_service(context, 0) >= 0) {}
    return 1;
}
