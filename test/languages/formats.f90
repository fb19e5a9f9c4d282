! Formatted and unformatted input and output, quad precision, array operations.
program formats
  use iso_fortran_env
  implicit none
  integer :: i, j, status
  real(real64) :: a(40, 40), b(40, 40)
  real(real128) :: quad
  complex(real64) :: z
  character(60) :: text
  namelist /both/ i, status
  do concurrent (i = 1:40, j = 1:40)
    a(i, j) = i * 0.5d0 + j
    b(i, j) = i - j * 0.25d0
  end do
  a = matmul(a, b)
  print '(A, ES24.15, 2I4)', 'sum', sum(a), maxloc(a)
  quad = acos(-1.0_real128)
  print '(F40.34, ES45.34)', sqrt(quad), exp(quad)**10
  z = exp((1.0d0, 2.0d0))
  print *, z, abs(z), gamma(5.5d0), erf(0.5d0)
  write (text, '(I5.5, F10.3, E12.4, L2, Z8, B12)') 42, 3.14159, 1.5e-10, .true., 255, 77
  print '(A)', text
  open (10, status='scratch', form='unformatted')
  write (10) (i, i * 1.5d0, i = 1, 10)
  rewind (10)
  read (10) (i, a(j, 1), j = 1, 10)
  print *, i, a(10, 1)
  read (10, iostat=status) j
  print *, status == iostat_end
  write (*, both)
  stop 3
end program
