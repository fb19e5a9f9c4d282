/* Five bodies under gravity, 300,000 steps: scalar doubles with divisions and square roots. */
#include "bench.h"
#include <math.h>

typedef struct { double x, y, z, vx, vy, vz, mass; } Body;
static Body bodies[5];

static double energy(void) {
  double e = 0;
  for (int i = 0; i < 5; i++) {
    Body *a = &bodies[i];
    e += 0.5 * a->mass * (a->vx * a->vx + a->vy * a->vy + a->vz * a->vz);
    for (int j = i + 1; j < 5; j++) {
      Body *b = &bodies[j];
      double dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z;
      e -= a->mass * b->mass / sqrt(dx * dx + dy * dy + dz * dz);
    }
  }
  return e;
}

static void step(double dt) {
  for (int i = 0; i < 5; i++)
    for (int j = i + 1; j < 5; j++) {
      Body *a = &bodies[i], *b = &bodies[j];
      double dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z;
      double squared = dx * dx + dy * dy + dz * dz, force = dt / (squared * sqrt(squared));
      a->vx -= dx * b->mass * force, a->vy -= dy * b->mass * force, a->vz -= dz * b->mass * force;
      b->vx += dx * a->mass * force, b->vy += dy * a->mass * force, b->vz += dz * a->mass * force;
    }
  for (int i = 0; i < 5; i++)
    bodies[i].x += dt * bodies[i].vx, bodies[i].y += dt * bodies[i].vy, bodies[i].z += dt * bodies[i].vz;
}

int main(void) {
  bodies[0].mass = 40;
  for (int i = 1; i < 5; i++) {
    double radius = 5.0 * i * i;
    bodies[i] = (Body){radius, 0.1 * i, -0.2 * i, 0.01 * i, sqrt(40 / radius), 0.02 * i, 0.002 * i};
  }
  int64_t start = nanoseconds();
  for (int i = 0; i < 300000; i++) step(0.001);
  int64_t elapsed = nanoseconds() - start;
  double e = energy();
  uint64_t bits;
  memcpy(&bits, &e, 8);
  printf("%016llx\n", (unsigned long long)bits);
  report("nbody", elapsed, 1);
  return 0;
}
