// Package guest holds the tests that run inside the virtual machine, as root and
// with the programs in /vm: the daemon as users run it, on a camera of the
// kernel's that can be made to fail. vm_test.go builds them and boots them; see
// run.sh there.
//
// The guest is emulated and slow. What is asserted are counts and shares of the
// guest's own time; the seconds in the table are for people.
package guest
