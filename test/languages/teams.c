/* OpenMP: reductions, tasks, critical, ordered, barriers. */
#include <omp.h>
#include <stdio.h>

int main(void) {
  long sum = 0, tasks = 0;
  double pi = 0;
  int counted = 0, order = 0;
#pragma omp parallel num_threads(4)
  {
#pragma omp for reduction(+ : sum) schedule(dynamic, 100)
    for (int i = 0; i < 20000; i++) sum += i;
#pragma omp for reduction(+ : pi) schedule(static)
    for (int i = 0; i < 20000; i++) pi += 4 / (1 + (i + 0.5) / 20000 * ((i + 0.5) / 20000));
    for (int i = 0; i < 20; i++) {
#pragma omp critical
      counted++;
#pragma omp barrier
    }
#pragma omp single
    for (int i = 0; i < 30; i++) {
#pragma omp task firstprivate(i) shared(tasks)
#pragma omp atomic
      tasks += i;
    }
#pragma omp for ordered schedule(dynamic)
    for (int i = 0; i < 20; i++) {
#pragma omp ordered
      order = order * 31 + i;
    }
  }
  printf("%ld %.8f %d %ld %d\n", sum, pi / 20000, counted, tasks, order);
  return 0;
}
