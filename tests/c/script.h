/* A peer that plays a script: what it is to be told, word by word, and what it answers; server or proxy, whichever the script makes of it. */
#ifndef SCRIPT_H
#define SCRIPT_H

#include "check.h"
#include "peer.h"

/* What follows an answer. */
typedef enum script_end { KEEP, END } script_end;

#define SCRIPT_WORDS 6

/* One request and its answer. */
typedef struct script_turn {
  const char *answer;              /* a head; %A = the accept value of the request. NULL = nothing, the request is not read either */
  script_end end;                  /* the connection is kept for the next turn, or ended */
  const char *words[SCRIPT_WORDS]; /* what the request must contain; behind a '!' what it must not */
  const char *bytes;               /* not HTTP: so many bytes are to come, these */
  size_t length;
  size_t answer_length;            /* of an answer that is not HTTP */
} script_turn;

typedef struct script {
  const script_turn *turns;
  size_t count;
  uint16_t port;
  int listener, peer;
  size_t played;                   /* turns */
  size_t connections;
  char heads[8][4096];             /* of the requests */
  pthread_t thread;
} script;

static inline void script_expect(const script_turn *turn, const char *head) {
  for (size_t i = 0; i < SCRIPT_WORDS && turn->words[i] != NULL; i++) {
    const char *word = turn->words[i];
    if (word[0] == '!' ? strstr(head, word + 1) != NULL : strstr(head, word) == NULL)
      (void)check_failed(__FILE__, __LINE__, "\"%s\" of the request\n%s", word, head);
  }
}

/* An answer with the accept value of the request in it. */
static inline bool script_answer(int peer, const char *answer, const char *head) {
  char text[8192] = "", key[128] = "", accept[64] = "";
  const char *place = strstr(answer, "%A");
  if (place == NULL) return peer_send_text(peer, answer);
  if (peer_header(head, "Sec-WebSocket-Key", key, sizeof key)) peer_accept_value(key, accept);
  (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(place - answer), answer, accept, place + 2);
  return peer_send_text(peer, text);
}

static inline bool script_play(script *script, const script_turn *turn) {
  char *head = script->heads[script->played % 8];
  if (script->peer < 0) {
    script->peer = peer_accept(script->listener);
    script->connections++;
  }
  if (script->peer < 0) return check_failed(__FILE__, __LINE__, "nobody came for turn %zu", script->played);
  if (turn->bytes != NULL) {
    uint8_t room[512];
    if (!peer_read_exact(script->peer, room, turn->length)) return check_failed(__FILE__, __LINE__, "turn %zu: no bytes", script->played);
    CHECK_BYTES(turn->bytes, turn->length, room, turn->length);
    return peer_send(script->peer, turn->answer, turn->answer_length);
  }
  if (turn->answer == NULL) return true;
  if (!peer_read_head(script->peer, head, sizeof script->heads[0])) return check_failed(__FILE__, __LINE__, "turn %zu: no head", script->played);
  script_expect(turn, head);
  return script_answer(script->peer, turn->answer, head);
}

static inline void *script_run(void *argument) {
  script *script = argument;
  for (size_t i = 0; i < script->count; i++) {
    const script_turn *turn = &script->turns[i];
    if (!script_play(script, turn)) break;
    script->played++;
    if (turn->end == END) {
      (void)shutdown(script->peer, SHUT_WR);
      /* What the client may still send: closing with it unread would reset the connection under its answer. */
      while (peer_wait(script->peer, POLLIN)) {
        char waste[1024];
        if (recv(script->peer, waste, sizeof waste, 0) <= 0) break;
      }
      (void)close(script->peer);
      script->peer = -1;
    }
  }
  return NULL;
}

static inline bool script_start(script *script, const script_turn *turns, size_t count) {
  memset(script, 0, sizeof *script);
  script->turns = turns;
  script->count = count;
  script->peer = -1;
  script->listener = peer_listen(&script->port);
  return CHECK(script->listener >= 0) && CHECK(pthread_create(&script->thread, NULL, script_run, script) == 0);
}

/* Waits until it is played; whoever is still connected is let go. */
static inline void script_end_play(script *script) {
  (void)pthread_join(script->thread, NULL);
  if (script->peer >= 0) (void)close(script->peer);
  (void)close(script->listener);
}

/* Turns up to the first that has none of it. */
#define SCRIPT_MOST 8
static inline size_t script_length(const script_turn *turns) {
  size_t count = 0;
  while (count < SCRIPT_MOST && (turns[count].answer != NULL || turns[count].bytes != NULL)) count++;
  return count;
}

#endif
