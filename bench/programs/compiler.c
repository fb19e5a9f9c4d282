/*
 * A compiler's front end in small: makes a source text of assignments, tokenises it, builds trees and a hash table of
 * symbols on the heap, folds constants, and evaluates the trees. Pointer chasing, short functions, many branches.
 */
#include "bench.h"
#include <ctype.h>

typedef struct Node Node;
struct Node {
  enum { NUMBER, SYMBOL, BINARY } kind;
  char operation;
  uint32_t value;
  struct Symbol *symbol;
  Node *left, *right;
};
typedef struct Symbol {
  struct Symbol *next;
  char name[16];
  uint32_t value;
  unsigned uses;
} Symbol;

enum { BUCKETS = 512, STATEMENTS = 60000, SYMBOLS = 3000 };
static Symbol *table[BUCKETS];
static const char *cursor;
static struct { enum { END, NAME, CONSTANT, PUNCTUATION } kind; char text[16]; uint32_t value; } token;
static unsigned folded, nodes;

static void advance(void) {
  while (isspace((unsigned char)*cursor)) cursor++;
  if (!*cursor) {
    token.kind = END;
  } else if (isalpha((unsigned char)*cursor)) {
    int n = 0;
    while (isalnum((unsigned char)*cursor)) {
      if (n < 15) token.text[n++] = *cursor;
      cursor++;
    }
    token.text[n] = 0;
    token.kind = NAME;
  } else if (isdigit((unsigned char)*cursor)) {
    token.value = 0;
    while (isdigit((unsigned char)*cursor)) token.value = token.value * 10 + (uint32_t)(*cursor++ - '0');
    token.kind = CONSTANT;
  } else {
    token.text[0] = *cursor++;
    token.text[1] = 0;
    token.kind = PUNCTUATION;
  }
}

static Symbol *intern(const char *name) {
  unsigned hash = 5381;
  for (const char *p = name; *p; p++) hash = hash * 33 ^ (unsigned char)*p;
  Symbol **slot = &table[hash % BUCKETS];
  for (Symbol *s = *slot; s; s = s->next)
    if (!strcmp(s->name, name)) return s->uses++, s;
  Symbol *s = calloc(1, sizeof *s);
  strcpy(s->name, name);
  s->next = *slot;
  return *slot = s;
}

static Node *make(int kind, char operation, uint32_t value, Symbol *symbol, Node *left, Node *right) {
  Node *n = malloc(sizeof *n);
  nodes++;
  n->kind = kind, n->operation = operation, n->value = value, n->symbol = symbol, n->left = left, n->right = right;
  return n;
}

static uint32_t apply(char operation, uint32_t a, uint32_t b) {
  switch (operation) {
    case '+': return a + b;
    case '-': return a - b;
    case '*': return a * b;
    case '/': return b ? a / b : a;
    case '&': return a & b;
    case '^': return a ^ b;
    default: return a | b;
  }
}

static int precedence(char c) {
  switch (c) {
    case '|': return 1;
    case '^': return 2;
    case '&': return 3;
    case '+': case '-': return 4;
    case '*': case '/': return 5;
    default: return 0;
  }
}

static Node *expression(int minimum);
static Node *primary(void) {
  Node *n;
  if (token.kind == CONSTANT) {
    n = make(NUMBER, 0, token.value, 0, 0, 0);
    advance();
  } else if (token.kind == NAME) {
    n = make(SYMBOL, 0, 0, intern(token.text), 0, 0);
    advance();
  } else {
    advance();
    n = expression(1);
    advance();
  }
  return n;
}

static Node *expression(int minimum) {
  Node *left = primary();
  while (token.kind == PUNCTUATION && precedence(token.text[0]) >= minimum) {
    char operation = token.text[0];
    advance();
    Node *right = expression(precedence(operation) + 1);
    if (left->kind == NUMBER && right->kind == NUMBER) {
      left->value = apply(operation, left->value, right->value);
      free(right);
      folded++;
    } else {
      left = make(BINARY, operation, 0, 0, left, right);
    }
  }
  return left;
}

static uint32_t evaluate(const Node *n) {
  switch (n->kind) {
    case NUMBER: return n->value;
    case SYMBOL: return n->symbol->value;
    default: return apply(n->operation, evaluate(n->left), evaluate(n->right));
  }
}

static void release(Node *n) {
  if (n->kind == BINARY) release(n->left), release(n->right);
  free(n);
}

static char *generate(void) {
  char *text = malloc(STATEMENTS * 120), *p = text;
  uint64_t state = 42;
  for (int i = 0; i < STATEMENTS; i++) {
    p += sprintf(p, "v%u = ", (unsigned)(next_random(&state) % SYMBOLS));
    int terms = 1 + (int)(next_random(&state) % 7), depth = 0;
    for (int t = 0; t < terms; t++) {
      uint64_t r = next_random(&state);
      if (t) *p++ = "+-*/&^|"[r % 7];
      if ((r >> 8) % 4 == 0) *p++ = '(', depth++;
      if ((r >> 16) % 2) p += sprintf(p, "v%u", (unsigned)((r >> 24) % SYMBOLS));
      else p += sprintf(p, "%u", (unsigned)((r >> 24) % 100000));
      if (depth && (r >> 50) % 3 == 0) *p++ = ')', depth--;
    }
    while (depth--) *p++ = ')';
    *p++ = ';', *p++ = '\n';
  }
  *p = 0;
  return text;
}

int main(void) {
  char *text = generate();
  int64_t start = nanoseconds();
  uint32_t check = 0;
  cursor = text;
  for (advance(); token.kind != END;) {
    Symbol *target = intern(token.text);
    advance();
    advance();
    Node *tree = expression(1);
    target->value = evaluate(tree);
    check = check * 31 + target->value;
    release(tree);
    advance();
  }
  unsigned symbols = 0, uses = 0;
  for (int i = 0; i < BUCKETS; i++)
    for (Symbol *s = table[i]; s; s = s->next) symbols++, uses += s->uses;
  int64_t elapsed = nanoseconds() - start;
  printf("%08x symbols %u uses %u nodes %u folded %u\n", check, symbols, uses, nodes, folded);
  report("compiler", elapsed, 1);
  return 0;
}
