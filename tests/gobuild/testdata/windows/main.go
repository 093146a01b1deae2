// Windows calls C, and through it functions of several of Windows' libraries.
package main

// #cgo LDFLAGS: -lws2_32 -liphlpapi -lole32
// #include <winsock2.h>
// #include <iphlpapi.h>
// #include <objbase.h>
// #include <stdio.h>
// static int names(void) {
// 	char text[64];
// 	DWORD interfaces = 0;
// 	CoInitializeEx(NULL, COINIT_MULTITHREADED);
// 	GetNumberOfInterfaces(&interfaces);
// 	return snprintf(text, sizeof text, "%lu", (unsigned long)htonl(interfaces));
// }
import "C"

import "fmt"

func main() { fmt.Println(C.names()) }
