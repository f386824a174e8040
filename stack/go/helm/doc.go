// Package helmwrap pins Helm for the stack; nothing imports it.
package helmwrap
