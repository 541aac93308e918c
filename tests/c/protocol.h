/* The two ends of a protocol component, and wires of bytes between them. */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#include "check.h"

#define WIRE ((size_t)1 << 18)

/* One end, as a program around it sees it. What it has written is in `wire`. */
typedef struct end {
  ws_handle protocol;
  uint64_t now_ms;
  uint8_t wire[WIRE];
  size_t written;
  ws_action reading, writing;               /* under way if their id is not 0 */
  ws_action told[32];                       /* every indication, in order; its memory may be gone */
  size_t told_count;
  uint8_t heard[WIRE];                      /* payload of everything that was received */
  size_t heard_length;
  uint64_t wake_at_ms;                      /* 0 = never */
  bool keeps_actions;                       /* indications are not completed by end_act */
  bool receives;                            /* asks for the next piece, as a view, when it has one */
} end;

static const uint8_t end_seed[32] = {1, 2, 3};

static inline end *end_create(uint32_t role) {
  end *made = calloc(1, sizeof *made);
  if (made == NULL || !CHECK_STATUS(WS_OK, ws_protocol_create(role, end_seed, &made->protocol))) abort();
  return made;
}

static inline void end_close(end *end) {
  CHECK_STATUS(WS_OK, ws_close_handle(end->protocol));
  free(end);
}

static inline ws_status end_option(const end *end, ws_option option, uint32_t value) {
  return ws_set_option(end->protocol, option, &value, sizeof value);
}

static inline ws_action end_next(end *end) {
  ws_action action;
  memset(&action, 0xee, sizeof action);
  action.size = (uint32_t)sizeof action;
  if (!CHECK_STATUS(WS_OK, ws_protocol_get_action(end->protocol, end->now_ms, &action))) memset(&action, 0, sizeof action);
  CHECK_NUMBER(sizeof action, action.size);
  return action;
}

static inline ws_status end_complete(const end *end, const ws_action *action, size_t transferred) {
  return ws_protocol_complete_action(end->protocol, action->id, end->now_ms, transferred);
}

/* Takes actions until there are none. Reads and writes stay under way. */
static inline void end_act(end *end) {
  for (;;) {
    ws_action action = end_next(end);
    switch (action.kind) {
    case WS_ACTION_NONE: end->wake_at_ms = 0; return;
    case WS_ACTION_WAKE_AT: end->wake_at_ms = action.wake_at_ms; return;
    case WS_ACTION_SEND_TO_NETWORK: end->writing = action; break;
    case WS_ACTION_RECEIVE_FROM_NETWORK: end->reading = action; break;
    default:
      if (!CHECK(end->told_count < CHECK_COUNT(end->told))) return;
      end->told[end->told_count++] = action;
      if (action.kind == WS_ACTION_INDICATE_RECEIVE_COMPLETE && action.status == WS_OK && action.type != WS_CLOSE_FRAME) {
        size_t length = action.parts[0].length;
        if (length > 0) memcpy(end->heard + end->heard_length, action.parts[0].data, length);
        end->heard_length += length;
      }
      if (end->keeps_actions) return;
      CHECK_STATUS(WS_OK, end_complete(end, &action, 0));
      if (end->receives && action.kind == WS_ACTION_INDICATE_RECEIVE_COMPLETE && action.status == WS_OK && action.type != WS_CLOSE_FRAME)
        CHECK_STATUS(WS_OK, ws_protocol_receive(end->protocol, NULL, 0, NULL));
    }
  }
}

/* The network takes up to `most` bytes of the write that is under way. */
static inline size_t end_write(end *end, size_t most) {
  ws_action action = end->writing;
  size_t count = 0;
  if (action.id == 0) return 0;
  for (int i = 0; i < 2; i++) {
    size_t length = action.parts[i].length < most - count ? action.parts[i].length : most - count;
    if (length > 0) memcpy(end->wire + end->written + count, action.parts[i].data, length);
    count += length;
  }
  end->writing.id = 0;
  end->written += count;
  CHECK_STATUS(WS_OK, end_complete(end, &action, count));
  return count;
}

/* All that it has to write. */
static inline void end_flush(end *end) {
  end_act(end);
  while (end_write(end, SIZE_MAX) > 0) end_act(end);
}

/* The network brings bytes, as many as it is asked for. */
static inline size_t end_read(end *end, const void *bytes, size_t length) {
  ws_action action = end->reading;
  size_t count = length < action.room_length ? length : action.room_length;
  if (action.id == 0 || length == 0) return 0;
  memcpy(action.room, bytes, count);
  end->reading.id = 0;
  CHECK_STATUS(WS_OK, end_complete(end, &action, count));
  end_act(end);
  return count;
}

/* All of these bytes; false if it does not want them all. */
static inline bool end_hears(end *end, const void *bytes, size_t length) {
  size_t at = 0, count;
  end_act(end);
  while (at < length && (count = end_read(end, (const uint8_t *)bytes + at, length - at)) > 0) at += count;
  return CHECK_NUMBER(length, at);
}

#define HEARS(end, literal) end_hears(end, literal, sizeof(literal) - 1)

/* The transport has ended. */
static inline bool end_ends(end *end) {
  ws_action action = end->reading;
  if (!CHECK(action.id != 0)) return false;
  end->reading.id = 0;
  CHECK_STATUS(WS_OK, end_complete(end, &action, 0));
  end_act(end);
  return true;
}

static inline const ws_action *end_told(const end *end, int32_t kind, size_t index) {
  static const ws_action none;
  for (size_t i = 0; i < end->told_count; i++) {
    if (end->told[i].kind == kind && index-- == 0) return &end->told[i];
  }
  return &none;
}

static inline bool was_told(const end *end, int32_t kind, ws_status status) {
  const ws_action *action = end_told(end, kind, 0);
  return CHECK_NUMBER(kind, action->kind) && CHECK_NUMBER(status, action->status);
}

/* Whether all that it has written is this, and forgets it. */
#define WROTE(end, literal) \
  (CHECK_BYTES(literal, sizeof(literal) - 1, (end)->wire, (end)->written) && ((end)->written = 0, true))

/* Two ends after a handshake as lists of headers. */
static inline bool ends_open(end **client, end **server) {
  static const ws_header host = {{"Host", 4}, {"server.example", 14}};
  const ws_header *asked, *answered;
  ws_header request[16];
  size_t count = 0, answered_count = 0;
  *client = end_create(0);
  *server = end_create(1);
  request[0] = host;
  if (!CHECK_STATUS(WS_OK, ws_protocol_begin_headers((*client)->protocol, NULL, 0, &asked, &count)) || !CHECK(count < 15)) return false;
  memcpy(request + 1, asked, count * sizeof *asked);
  return CHECK_STATUS(WS_OK, ws_protocol_begin_headers((*server)->protocol, request, count + 1, &answered, &answered_count)) &&
         CHECK_STATUS(WS_OK, ws_protocol_end_headers((*client)->protocol, answered, answered_count)) &&
         CHECK_STATUS(WS_OK, ws_protocol_end_headers((*server)->protocol, NULL, 0));
}

/* Bytes that one has written and the other has not read travel, in parts of at most `part`; until nothing moves. */
static inline void ends_converse(end *client, end *server, size_t part) {
  end *both[2] = {client, server};
  size_t carried[2] = {0, 0}, before;
  do {
    before = client->written + server->written + carried[0] + carried[1];
    for (int i = 0; i < 2; i++) {
      end *from = both[i], *to = both[1 - i];
      size_t waiting;
      end_act(from);
      (void)end_write(from, part);
      end_act(from);
      end_act(to);
      waiting = from->written - carried[i];
      carried[i] += end_read(to, from->wire + carried[i], waiting < part ? waiting : part);
    }
  } while (before != client->written + server->written + carried[0] + carried[1]);
}

static inline ws_status end_send(const end *end, ws_buffer_type type, const void *data, size_t length, void *context) {
  ws_bytes part;
  part.data = data;
  part.length = length;
  return ws_protocol_send(end->protocol, type, 0, &part, 1, context);
}

static inline bool error_says(ws_handle handle, ws_status status, const char *text) {
  ws_error_info info;
  memset(&info, 0, sizeof info);
  info.size = (uint32_t)sizeof info;
  return CHECK_STATUS(WS_OK, ws_query_error(handle, &info)) && CHECK_NUMBER(status, info.status) && CHECK_TEXT(text, info.message);
}

#endif
