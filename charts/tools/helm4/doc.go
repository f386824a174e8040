// Package helm4wrap pins Helm 4 for the charts' tests; nothing imports it.
package helm4wrap
