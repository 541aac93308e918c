/* A server program in a process of its own, looked at from outside: its descriptors, its threads, its memory. Needs /proc. */
#ifndef SERVER_PROCESS_H
#define SERVER_PROCESS_H

#include "peer.h"

#include <ctype.h>

typedef struct server {
  pid_t process;
  uint16_t port;
  FILE *output;
} server;

static inline bool server_start(server *server, char **command) {
  char line[256];
  unsigned port = 0;
  int ends[2];
  if (pipe(ends) != 0) return false;
  server->process = fork();
  if (server->process == 0) {
    int null = open("/dev/null", O_WRONLY);
    (void)dup2(ends[1], STDOUT_FILENO);
    (void)dup2(null, STDERR_FILENO); /* it tells of every client that broke off */
    (void)close(ends[0]), (void)close(ends[1]), (void)close(null);
    (void)execv(command[0], command);
    _exit(127);
  }
  (void)close(ends[1]);
  server->output = fdopen(ends[0], "r");
  if (server->output == NULL || fgets(line, sizeof line, server->output) == NULL || sscanf(line, "listening on ws://127.0.0.1:%u/", &port) != 1)
    return fprintf(stderr, "%s does not listen\n", command[0]), false;
  server->port = (uint16_t)port;
  return true;
}

static inline int server_entries(const server *server, const char *folder) {
  char path[64];
  int count = 0;
  DIR *entries;
  (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)server->process, folder);
  if ((entries = opendir(path)) == NULL) return -1;
  for (struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) count += isdigit((unsigned char)entry->d_name[0]) != 0;
  (void)closedir(entries);
  return count;
}

/* Memory that is the server's alone, in kilobytes. */
static inline double server_memory(const server *server) {
  char path[64], line[256];
  double total = 0;
  long value;
  FILE *file;
  (void)snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)server->process);
  if ((file = fopen(path, "r")) == NULL) return -1;
  while (fgets(line, sizeof line, file) != NULL) {
    if (sscanf(line, "Private_Dirty: %ld kB", &value) == 1 || sscanf(line, "Private_Clean: %ld kB", &value) == 1) total += (double)value;
  }
  (void)fclose(file);
  return total;
}

/* The last clients are being noticed: waits for this number, but not for long. */
static inline int server_settled(const server *server, const char *folder, int expected) {
  int count = server_entries(server, folder);
  for (uint64_t until = check_now_ms() + 5000; count != expected && check_now_ms() < until; count = server_entries(server, folder)) {
    const struct timespec moment = {0, 20000000};
    (void)nanosleep(&moment, NULL);
  }
  return count;
}

/* What it has when its first clients have gone: waits until the number has not changed for a while, but not for long. */
static inline int server_at_ease(const server *server, const char *folder) {
  int count = server_entries(server, folder);
  uint64_t since = check_now_ms();
  for (uint64_t until = since + 5000; check_now_ms() < since + 300 && check_now_ms() < until;) {
    const struct timespec moment = {0, 20000000};
    int now;
    (void)nanosleep(&moment, NULL);
    now = server_entries(server, folder);
    if (now != count) count = now, since = check_now_ms();
  }
  return count;
}

/* Asks it to stop; whether it did so with status 0. */
static inline bool server_stop(server *server) {
  int status = 0;
  bool good = kill(server->process, SIGTERM) == 0 && waitpid(server->process, &status, 0) == server->process && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  (void)fclose(server->output);
  if (!good) fprintf(stderr, "the server ended with %#x\n", (unsigned)status);
  return good;
}

#endif
