/* Remembers every handle that the library gives to a test, so that the library itself can be asked at the end which of them are open.
 *
 * Includes ws101.h and goes before everything else that does. For C and C++. Handles that come with events are remembered by calling handles_remember. */
#ifndef HANDLES_H
#define HANDLES_H

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "ws101.h"

static struct {
  ws_handle *all;
  size_t count, room;
} handles_given;
static pthread_mutex_t handles_lock = PTHREAD_MUTEX_INITIALIZER;

/* Any thread. */
static inline void handles_remember(ws_handle handle) {
  (void)pthread_mutex_lock(&handles_lock);
  if (handles_given.count == handles_given.room) {
    size_t room = handles_given.room * 2 + 64;
    ws_handle *all = (ws_handle *)realloc(handles_given.all, room * sizeof *all);
    if (all == NULL) abort();
    handles_given.all = all;
    handles_given.room = room;
  }
  handles_given.all[handles_given.count++] = handle;
  (void)pthread_mutex_unlock(&handles_lock);
}

static inline void handles_forget(void) {
  free(handles_given.all);
  memset(&handles_given, 0, sizeof handles_given);
}

/* Tells of every handle that is open, and forgets them all. A handle that answers anything but 6 is open. */
static inline void handles_check(void (*tell)(ws_handle handle, uint32_t kind)) {
  for (size_t i = 0; i < handles_given.count; i++) {
    uint32_t kind = 0;
    size_t length = sizeof kind;
    if (ws_query_option(handles_given.all[i], WS_OPTION_HANDLE_KIND, &kind, &length) != WS_ERROR_INVALID_HANDLE)
      tell(handles_given.all[i], kind);
  }
  handles_forget();
}

static inline ws_status handles_given_by(ws_status status, const ws_handle *handle) {
  if (status == WS_OK) handles_remember(*handle);
  return status;
}

/* Every function that gives a handle out. A macro does not expand itself again; without an argument list the name is the function. */
#define ws_open(user_agent, flags, session) handles_given_by(ws_open(user_agent, flags, session), session)
#define ws_connect(session, url, request) handles_given_by(ws_connect(session, url, request), request)
#define ws_connect_descriptor(session, descriptor, url, request) \
  handles_given_by(ws_connect_descriptor(session, descriptor, url, request), request)
#define ws_complete_upgrade(request, websocket) handles_given_by(ws_complete_upgrade(request, websocket), websocket)
#define ws_listen(session, url, listener) handles_given_by(ws_listen(session, url, listener), listener)
#define ws_accept(listener, request) handles_given_by(ws_accept(listener, request), request)
#define ws_accept_descriptor(session, descriptor, request) handles_given_by(ws_accept_descriptor(session, descriptor, request), request)
#define ws_loop_create(flags, loop) handles_given_by(ws_loop_create(flags, loop), loop)
#define ws_prepare(type, data, length, message) handles_given_by(ws_prepare(type, data, length, message), message)
#define ws_protocol_create(role, seed, protocol) handles_given_by(ws_protocol_create(role, seed, protocol), protocol)

#endif
